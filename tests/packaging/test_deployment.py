"""The systemd unit: its options exist, and systemd, where it is installed, accepts it."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

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
    return shlex.split(match[1].replace("%S", "/var/lib"))


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
