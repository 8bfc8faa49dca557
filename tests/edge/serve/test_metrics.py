"""Metrics: what they say, in both formats, over several sources, and in a file that others read at any time."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from fer_edge.errors import FerError, MissingExtraError, OutputError
from fer_edge.privacy.modes import Aggregation
from fer_edge.serve import metrics_file
from fer_edge.serve.connections import Connections
from fer_edge.serve.metrics import exposition, metrics_text
from fer_edge.serve.metrics_file import MetricsFileSink
from fer_edge.serve.options import ConnectOptions
from fer_edge.sinks.base import Published

pytestmark = pytest.mark.usefixtures("no_threads_left")


def samples(state, text: bytes | None = None) -> dict[tuple[str, ...], float]:
    """Every sample's value by its name and label values."""
    families = parse_openmetrics((text or metrics_text(state)[0]).decode())
    return {named(sample): sample.value for family in families for sample in family.samples}


def named(sample) -> tuple[str, ...]:
    return sample.name, *(value for _, value in sorted(sample.labels.items()))


def test_the_metrics_are_openmetrics_and_say_what_the_run_did(run_state) -> None:
    state = run_state(5)
    text, content_type = metrics_text(state)
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith(b"# EOF\n")
    found = samples(state)
    assert found["fer_edge_frames_total", "processed"] == 5
    assert found["fer_edge_frames_total", "dropped_newer_frame"] == 0, "it exists before the first one is dropped"
    assert found["fer_edge_faces_classified_total", "angry"] == 5
    assert found["fer_edge_faces_classified_total", "unsure"] == 0
    assert found["fer_edge_stage_seconds_count", "end_to_end"] == 5
    assert found["fer_edge_stage_seconds_bucket", "+Inf", "detect"] == 5
    assert found["fer_edge_stage_seconds_sum", "detect"] > 0
    assert found["fer_edge_source_up",] == 1
    assert found["fer_edge_reconnects_total",] == 0
    assert found["fer_edge_peak_memory_bytes",] > 1e6
    (build,) = [name for name in found if name[0] == "fer_edge_build_info"]
    assert "fake.onnx" in build
    assert not [name for name in found if "id" in name], "no metric per face"


def test_counters_go_on_when_the_next_source_begins(run_state, fakes) -> None:
    state = run_state(4)
    before = samples(state)
    state.begin(fakes.pipeline(fakes.Source(3)))
    state.pipeline.source.reconnects = 2
    between = samples(state)
    counters = [name for name in before if name[0].endswith(("_total", "_count", "_sum", "_bucket"))]
    assert len(counters) > 20
    assert [name for name in counters if between[name] < before[name]] == []
    fakes.finish(state.pipeline)
    after = samples(state)
    assert after["fer_edge_frames_total", "processed"] == 7
    assert after["fer_edge_faces_classified_total", "angry"] == 7
    assert after["fer_edge_stage_seconds_count", "end_to_end"] == 7
    assert after["fer_edge_reconnects_total",] == 2


def test_before_the_first_source_and_after_the_end_the_source_is_down(run_state) -> None:
    state = run_state()
    assert samples(state)["fer_edge_source_up",] == 0
    assert samples(state)["fer_edge_frames_total", "processed"] == 0
    state = run_state(2)
    state.end("end of source")
    assert samples(state)["fer_edge_source_up",] == 0


def test_with_aggregation_nothing_is_said_about_faces(run_state) -> None:
    text = metrics_text(run_state(3, aggregation=Aggregation(60)))[0].decode()
    assert 'state="processed"} 3.0' in text
    assert 'stage="classify"' not in text, "it counts the frames with faces"
    assert "emotion=" not in text
    assert "fer_edge_faces" not in text


@pytest.mark.parametrize("text", [exposition, lambda state: metrics_text(state)[0]])
def test_labels_of_strangers_are_escaped(run_state, text) -> None:
    state = run_state(1)
    state.classifier.labels = ('a"b\\', "c d")
    assert b'emotion="a\\"b\\\\"' in text(state)


def test_promtool_finds_no_fault(run_state) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus)")
    text = exposition(run_state(5))
    ran = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, b"")
    broken = subprocess.run(
        [promtool, "check", "metrics"], input=text + b"frames_total 1\n", capture_output=True, timeout=60, check=False
    )
    assert broken.returncode != 0, "it does find faults"


def test_the_command_writes_a_metrics_file_whose_last_state_is_down(command, tmp_path: Path) -> None:
    path = tmp_path / "fer.prom"
    for _run in range(2):  # the second run replaces the file of the first
        done = command("--max-frames", "5", "--metrics-file", path)
        assert done.exit_code == 0, done.output
    found = {named(sample): sample.value for family in parse_text(path.read_text()) for sample in family.samples}
    assert found["fer_edge_source_up",] == 0
    assert found["fer_edge_frames_total", "processed"] == 5
    assert [each.name for each in tmp_path.iterdir()] == ["fer.prom"]


def test_the_file_follows_the_umask(run_state, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        MetricsFileSink(tmp_path / "fer.prom", run_state(1)).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "fer.prom").stat().st_mode) == 0o644, "node_exporter is another user"


def test_the_file_is_renewed_from_time_to_time_and_readers_never_see_a_part(
    run_state, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[list[str]] = []
    sink = MetricsFileSink(tmp_path / "fer.prom", run_state(1))
    monkeypatch.setattr(metrics_file, "exposition", lambda _state: b"# HELP fer_edge_x\n")
    replace = Path.replace

    def spied(part: Path, target: Path) -> Path:
        writes.append([each.name for each in tmp_path.iterdir() if each.suffix == ".prom"])
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", spied)
    for _second in range(5):
        sink.flush()
    assert writes == [[]], "once, and the new file has another suffix until it is complete"
    monkeypatch.setattr(metrics_file, "INTERVAL_S", 0.0)
    sink.flush()
    assert len(writes) == 2
    sink.close()


def test_a_full_disk_is_reported_once_and_tried_again(
    run_state, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metrics_file, "INTERVAL_S", 0.0)
    sink = MetricsFileSink(tmp_path / "fer.prom", run_state(1))
    with monkeypatch.context() as patch:

        def full(*_args: object) -> bytes:
            raise OutputError("fer.prom can't be written: No space left on device")

        patch.setattr(metrics_file, "exposition", full)
        for _ in range(3):
            sink.write(Published(None, None))
            sink.flush()
    assert [record.getMessage() for record in caplog.records] == [
        "--metrics-file fer.prom can't be written: No space left on device: tried again every 0 s"
    ]
    assert sink.written == 0
    sink.close()
    assert sink.written == 3


def test_what_is_no_metrics_file_stays(command, tmp_path: Path) -> None:
    path = tmp_path / "notes.prom"
    path.write_text("mine")
    done = command("--max-frames", "1", "--metrics-file", path)
    assert isinstance(done.exception, FerError)
    assert "notes.prom exists: name another file, or pass --overwrite" in str(done.exception)
    assert path.read_text() == "mine"
    assert command("--max-frames", "1", "--metrics-file", path, "--overwrite").exit_code == 0


def test_two_runs_do_not_share_a_file(run_state, tmp_path: Path) -> None:
    first = MetricsFileSink(tmp_path / "fer.prom", run_state(1))
    with pytest.raises(OutputError, match=r"fer.prom is being written by process \d+"):
        MetricsFileSink(tmp_path / "fer.prom", run_state(1))
    first.close()


def test_a_run_without_a_source_leaves_a_file_that_says_so(run_state, tmp_path: Path) -> None:
    connections = Connections(ConnectOptions(metrics_file=tmp_path / "fer.prom"), run_state())
    connections.end("error")
    assert "fer_edge_source_up 0.0" in (tmp_path / "fer.prom").read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["fer.prom"], "nor a lock"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("-", "--metrics-file can't go to stdout"),
        ("same.jsonl", "--json and --metrics-file can't share same.jsonl"),
    ],
)
def test_a_wrong_metrics_file_is_a_usage_error(command, value: str, message: str) -> None:
    done = command("--json", "same.jsonl", "--metrics-file", value)
    assert done.exit_code == 2
    assert message in done.output


def test_a_missing_package_is_named_with_its_extra(run_state, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("fer_edge.serve.metrics_file", "fer_edge.serve.metrics"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtraError, match=r"fer-edge --metrics-file needs .*'fer-edge\[web\]'"):
        Connections(ConnectOptions(metrics_file=tmp_path / "fer.prom"), run_state())


def test_a_name_that_node_exporter_ignores_is_a_warning(
    run_state, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    MetricsFileSink(tmp_path / "fer.txt", run_state(1)).close()
    assert "node_exporter reads only files that end in .prom" in caplog.text
