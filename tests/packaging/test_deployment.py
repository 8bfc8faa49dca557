"""The systemd unit: its options exist, and systemd, where it is installed, accepts it."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from fer_edge.cli.commands import edge

UNIT = Path(__file__).parents[2] / "deploy" / "fer-edge.service"


def command() -> list[str]:
    text = UNIT.read_text(encoding="utf-8").replace("\\\n", " ")
    match = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert match
    return shlex.split(match[1].replace("%S", "/var/lib"))


def test_the_unit_s_command_line_is_understood() -> None:
    program, *arguments = command()
    assert program == "/opt/fer-edge/bin/fer-edge"
    parameters = edge.make_context("fer-edge", arguments).params
    assert parameters["headless"]
    assert parameters["rotate_output"] == (100_000_000, None)
    assert str(parameters["json"]).startswith("/var/lib/fer-edge/")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "fer-edge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "fer-edge.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/fer-edge/bin/fer-edge", str(program)))
    ran = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert str(unit) not in ran.stderr
