"""The systemd unit and the compose example: options exist, systemd accepts the unit, containers may do little."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fer_edge.cli.commands import edge

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "fer-edge.service"
DROP_INS = sorted(DEPLOY.glob("*.conf"))
MAX_EXPOSURE = 0.6  # of 10, by systemd-analyze security
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def command(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    match = re.search(r"^ExecStart=(.+)$", text, re.MULTILINE)
    assert match
    return shlex.split(match[1].replace("%S", "/var/lib").replace("%t", "/run"))


@pytest.mark.parametrize("file", [UNIT, *DROP_INS], ids=lambda path: path.name)
def test_the_unit_s_command_line_is_understood(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    program, *arguments = command(file)
    assert program == "/opt/fer-edge/bin/fer-edge"
    parameters = edge.make_context("fer-edge", arguments).params
    assert parameters["headless"]
    assert parameters["rotate_output"] == (100_000_000, None)
    assert str(parameters["json"]).startswith("/var/lib/fer-edge/")


def installed(folder: Path, drop_in: Path | None) -> Path:
    """The unit in `folder`, with a program that exists, below a drop-in if there is one."""
    program = folder / "fer-edge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = folder / "fer-edge.service"
    files = {unit: UNIT}
    if drop_in is not None:
        (folder / "fer-edge.service.d").mkdir()
        files[folder / "fer-edge.service.d" / drop_in.name] = drop_in
    for target, source in files.items():
        target.write_text(source.read_text(encoding="utf-8").replace("/opt/fer-edge/bin/fer-edge", str(program)))
    return unit


@needs_systemd
@pytest.mark.parametrize("drop_in", [None, *DROP_INS], ids=lambda path: path and path.name)
def test_systemd_accepts_the_unit(tmp_path: Path, drop_in: Path | None) -> None:
    unit = installed(tmp_path, drop_in)
    ran = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert str(unit) not in ran.stderr


@needs_systemd
def test_the_unit_may_do_little() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={int(10 * MAX_EXPOSURE)}", str(UNIT)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    match = re.search(r"Overall exposure level for fer-edge.service: ([\d.]+)", ran.stdout)
    assert match, ran.stdout + ran.stderr
    assert float(match[1]) <= MAX_EXPOSURE


COMPOSE = DEPLOY / "compose.yaml"
SERVICES = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_little_and_its_version_is_named(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    user, group = map(int, service["user"].split(":"))
    assert user > 0
    assert group > 0
    _, colon, tag = service["image"].partition(":")
    assert colon
    assert re.search(r"\d+\.\d+\.\d+$", tag), "latest is another program each day"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_s_ports_are_documented_and_on_this_machine_only(name: str) -> None:
    documented = (DEPLOY.parent / "docs" / "connect.md").read_text(encoding="utf-8")
    for port in SERVICES[name]["ports"]:
        address, outside, _ = port.split(":")
        assert address == "127.0.0.1"
        assert f"| {outside} |" in documented


def test_the_files_of_the_compose_example_exist() -> None:
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = [DEPLOY / each for each in mounted if each.startswith("./")]
    assert len(files) == 2
    assert [file for file in files if not file.is_file()] == []
    build = SERVICES["fer-edge"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_the_command_line_of_the_container_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    parameters = edge.make_context("fer-edge", SERVICES["fer-edge"]["command"]).params
    assert parameters["mqtt"] == "mqtt://mosquitto"
    assert parameters["serve"] == ("0.0.0.0", 8080)
    assert parameters["serve_token"] == Path("/run/secrets/token")
