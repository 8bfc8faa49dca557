"""The main thread's watch over a run: its errors, and reports on request."""

import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import pytest

from fer_edge.cli import commands as cli
from fer_edge.cli import run as run_module
from fer_edge.cli.status import StatusLine


@pytest.mark.parametrize("sources", [1, 2])
def test_an_error_in_the_watch_is_the_exit_reason(
    sources: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_status: StatusLine) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(StatusLine, "update", fail)
    report = tmp_path / "out.json"
    arguments = ["demo:160x160,endless"] * sources + ["--headless", "--model", str(model), "--report", str(report)]
    with pytest.raises(RuntimeError, match="broken"):
        cli.edge.main(arguments, standalone_mode=False)
    written = json.loads(report.read_text())
    assert [part["exit_reason"] for part in (written, *written.get("sources", []))] == ["error"] * sources


def test_a_request_of_a_report_takes_no_lock_and_is_answered_once() -> None:
    calls: list[str] = []

    def record(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename == threading.__file__:
            calls.append(frame.f_code.co_name)

    reasons: list[str] = []

    def report(reason: str) -> None:
        reasons.append(reason)
        if len(reasons) == 1:
            signal.raise_signal(signal.SIGUSR1)  # while a report is written: another one follows

    with run_module._reports_on_request(report) as report_if_requested:
        sys.setprofile(record)
        try:
            report_if_requested()
            signal.raise_signal(signal.SIGUSR1)
            for _ in range(4):
                report_if_requested()
        finally:
            sys.setprofile(None)
    assert reasons == ["running", "running"]
    assert calls == [], "a lock that the interrupted code may hold"
