"""What never returns: a network, a source, a sink. A second signal, or --duration, ends the run with its report."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_edge.cli import commands, source_run
from fer_edge.errors import ModelError
from fer_edge.network import timed
from fer_edge.network.contract import METADATA_KEY, Contract

TIMEOUT_S = 40
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def hanging(contract: Contract, tmp_path: Path) -> Path:
    """A network that passes the check and loops for ever on the drawn face, whose mean is above 90."""
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["v"], ["w"])], "body",
        [scalar("i", TensorProto.INT64, []), scalar("go", TensorProto.BOOL, []), scalar("v", TensorProto.FLOAT, None)],
        [scalar("goes", TensorProto.BOOL, []), scalar("w", TensorProto.FLOAT, None)],
    )  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["faces"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["means"], keepdims=0),
        helper.make_node("ReduceMean", ["float"], ["mean"], keepdims=0),
        helper.make_node("Greater", ["mean", "limit"], ["loops"]),
        helper.make_node("Loop", ["", "loops", "means"], ["looped"], body=body),
        helper.make_node("Mul", ["looped", "zero"], ["nothing"]),
        helper.make_node("Unsqueeze", ["nothing", "one"], ["column"]),
        helper.make_node("Add", ["column", "answer"], ["out"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3]), "limit": np.array(90, np.float32), "zero": np.array(0, np.float32),
        "one": np.array([1]), "answer": np.full((1, 7), 1 / 7, np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "late", [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["batch", 1, 48, 48])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: contract.to_json()})
    onnx.save(model, str(tmp_path / "hanging.onnx"))
    return tmp_path / "hanging.onnx"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command in `tmp_path`, with outputs and a report."""
    processes = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "fer_edge", *arguments, "--headless", "--csv", "out.csv", "--report", "r.json"]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def end(process: "subprocess.Popen[str]", signals: int) -> tuple[int, list[str]]:
    """Send SIGTERM so many times; the exit code and the lines on stderr."""
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    return process.wait(TIMEOUT_S), process.communicate()[1].splitlines()


def test_a_second_signal_ends_a_run_whose_network_hangs_with_the_report(start: Start, hanging: Path) -> None:
    process = start("demo:160x160,endless", "--model", str(hanging), "--json", "out.jsonl")
    wait_for((hanging.parent / "out.csv").exists)
    time.sleep(0.5)  # several frames wait for the network
    code, lines = end(process, 2)
    assert (code, lines[-1]) == (143, "fer-edge: terminated")
    report = json.loads((hanging.parent / "r.json").read_text())
    assert (report["exit_reason"], report["frames"]["processed"]) == ("terminated", 0)
    assert report["frames"]["in_flight"] > 0
    assert "terminated after" in lines[0]
    assert not list(hanging.parent.glob(".*")), "neither locks nor temporary files"


def test_a_second_signal_ends_a_run_whose_sink_hangs_and_completes_the_others(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.jsonl")
    reader = os.open(tmp_path / "out.jsonl", os.O_RDONLY | os.O_NONBLOCK)  # and reads nothing
    try:
        process = start("demo:160x160,endless", "--json", "out.jsonl")
        wait_for(lambda: (tmp_path / "out.csv").exists() and (tmp_path / "out.csv").stat().st_size > 20_000)
        code, lines = end(process, 2)
    finally:
        os.close(reader)
    assert (code, lines[-1]) == (143, "fer-edge: terminated")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["sinks"]["json"]["lost"] > 0
    assert report["exit_reason"] == "terminated"
    written = (tmp_path / "out.csv").read_text()
    assert written.endswith("\n")
    assert len(written.splitlines()) > 100


def test_one_signal_ends_a_run_whose_source_does_not_answer(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT_S)
        process = start(f"http://127.0.0.1:{server.getsockname()[1]}/video.mjpg")
        connection, _ = server.accept()
        with connection:
            assert end(process, 1) == (143, ["fer-edge: terminated"])
    assert not (tmp_path / "r.json").exists()


def test_the_duration_ends_a_run_whose_network_hangs(hanging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed, "PATIENCE_S", 0.5)
    monkeypatch.setattr(timed, "_longest_s", 0.0)
    monkeypatch.setattr(source_run, "HANGS_S", 0.5)
    report = hanging.parent / "r.json"
    arguments = ["demo:160x160,endless", "--headless", "--model", str(hanging), "--report", str(report)]
    with pytest.raises(ModelError, match=r"hanging\.onnx gives no result within \d+ s: it may loop for ever$"):
        commands.edge.main([*arguments, "--duration", "0.5"], standalone_mode=False)
    assert json.loads(report.read_text())["exit_reason"] == "error"


def test_an_operator_that_does_not_stop_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed, "STUCK_S", 0.0)
    run = timed._Run("m.onnx", 30)
    monkeypatch.setattr(timed, "_runs", {run})
    assert timed.stuck_network() is None
    run.end_if_longer(0)
    wait_for(timed.stuck_network)
    assert str(timed.stuck_network()).startswith("m.onnx does not end: one of its operators takes very long")


def test_a_check_that_does_not_stop_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_MODEL_SECONDS", "1")
    monkeypatch.setattr(timed, "STUCK_S", -0.9)
    with pytest.raises(ModelError, match=r"m\.onnx does not end"):
        timed.first_run(lambda: time.sleep(1), "m.onnx")
