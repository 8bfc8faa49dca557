import json
from pathlib import Path

import pytest

from fer_edge.cli import report
from fer_edge.cli.report import build_report
from fer_edge.cli.report_text import render_report
from fer_edge.system import _lasting_info, machine_info, peak_rss_mb

KEYS = {
    "schema", "source", "detector", "model", "seconds", "frames", "fps", "latency_ms", "faces", "sinks", "reconnects",
    "gaps_s", "warmup_frames", "peak_rss_mb", "exit_reason", "machine", "settings", "summary",
}  # fmt: skip


def test_the_report_of_a_run_has_the_documented_keys_and_is_json(fakes) -> None:
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(60), fakes.Detector(faces=2)))
    made = build_report(pipeline, 1.5, {"json": (60, 0)})
    assert set(made) == KEYS
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["frames"] == {"captured": 60, "processed": 60, "dropped": {}, "errors": 0, "in_flight": 0}
    assert set(made["fps"]) == {"capture", "processed", "detect", "classify_faces"}
    for figures in made["latency_ms"].values():
        assert figures["p50"] <= figures["p95"] <= figures["p99"] <= figures["max"]
    assert made["summary"]["rows"] == 120
    assert made["summary"]["seconds"] == pytest.approx(2 * 60 / 30, abs=0.01)
    assert made["faces"] == {"seen": 120, "tracks": 2, "flips": 0}
    assert made["sinks"] == {"json": {"written": 60, "lost": 0}}
    assert made["warmup_frames"] > 0


def test_the_report_has_the_settings_of_the_run_and_the_properties_of_its_source(fer_edge, tmp_path: Path) -> None:
    arguments = ("--headless", "--max-frames", "5", "--report")
    assert (
        fer_edge("--source", "demo:320x240", *arguments, "a.json", "--detect-hz", "5", "--rotate", "90").returncode == 0
    )
    assert fer_edge("--source", "demo:320x240", *arguments, "b.json", "--threads", "3", "--realtime").returncode == 0
    first, second = (json.loads((tmp_path / name).read_text())["settings"] for name in ("a.json", "b.json"))
    assert first["source"] == {"size": [320, 240], "format": "BGR3", "fps": 30.0}
    assert (first["detect_hz"], first["rotate_deg"], first["lossless"], first["max_frames"]) == (5, 90, True, 5)
    assert (first["classify_interval_ms"], second["classify_interval_ms"]) == (0, 100)
    assert (second["threads"], second["lossless"]) == (3, False)
    assert (first["start_time"], first["recursive"], first["headless"]) == (None, True, True)


def test_a_run_without_frames_has_a_report_too(fakes) -> None:
    made = build_report(fakes.finish(fakes.pipeline(fakes.Source(0))), 0.0, {})
    assert made["fps"]["processed"] is None
    assert made["latency_ms"]["detect"]["p50"] is None
    assert made["warmup_frames"] == 0
    assert "0 captured" in render_report(made, verbose=True)
    assert render_report(made) == "fake  end of source after 0.0 s\n  no frame"


def test_the_text_report_has_counts_latency_and_model(fakes) -> None:
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(30)))
    report, paths = build_report(pipeline, 2.0, {"csv": (28, 2), "window": (9, 21)}), {"csv": "out.csv"}
    text = render_report(report, paths, verbose=True)
    for part in (
        "30 captured = 30 processed", "p95", "csv        out.csv: 28 frames, 2 lost", "end of source", "fake.onnx",
        "window     9 shown, 21 skipped",
    ):  # fmt: skip
        assert part in text


def test_without_verbose_the_text_says_what_was_seen_and_the_rate(fakes) -> None:
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(30)))
    report = build_report(pipeline, 75.0, {"stdout": (28, 2)})
    report["fps"]["processed"] = 31.25
    assert render_report(report, {"report": "a\nb.json"}, blocks=False).splitlines() == [
        "fake  end of source after 1 min 15 s",
        "  1 face",
        "  angry      1.0 s  100 %  #########################",
        "  report     a\\nb.json",
        "  stdout     28 lines, 2 lost",
        "  rate       31.2 frames/s; 30 frames",
    ]
    report["frames"] |= {"processed": 27, "dropped": {"newer_frame": 1}, "errors": 1, "in_flight": 1}
    rate = render_report(report).splitlines()[-1]
    assert rate == "  rate       31.2 frames/s; 27 of 30 frames, 1 dropped, 1 unreadable, 1 in flight"


def test_throttling_is_reported(fakes) -> None:
    made = build_report(fakes.finish(fakes.pipeline(fakes.Source(3))), 1.0, {})
    made["machine"]["throttling"] = ["under-voltage now", "throttled since boot"]
    assert "throttled  under-voltage now, throttled since boot: these rates" in render_report(made)
    made["machine"]["throttling"] = []
    assert "throttled" not in render_report(made)


def test_a_machine_without_proc_is_described_too(monkeypatch: pytest.MonkeyPatch) -> None:
    read_text = Path.read_text

    def without_proc(path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        if path.is_relative_to("/proc") or path.is_relative_to("/sys"):
            raise FileNotFoundError(path)
        return read_text(path, encoding, errors)

    monkeypatch.setattr(Path, "read_text", without_proc)
    monkeypatch.setattr("fer_edge.system._lasting_info", _lasting_info.__wrapped__)  # without its cache
    info = machine_info()
    assert info["cpu"]
    assert info["cores"] >= 1
    assert peak_rss_mb() > 1


def test_peak_memory_is_the_kernel_s_high_water_mark_in_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    status = "Name:\tpython\nVmPeak:\t 9000 kB\nVmHWM:\t    2000 kB\nVmRSS:\t 1000 kB\n"
    monkeypatch.setattr(Path, "read_text", lambda *_args, **_kwargs: status)
    assert peak_rss_mb() == 2.048


def test_an_interrupted_run_counts_the_sources_of_the_command_line_and_those_not_started(fakes) -> None:
    pipeline = fakes.finish(fakes.pipeline(fakes.Source(3)))
    parts = [report.source_report(pipeline, 1.0)]
    made = report.build_total_report(parts, pipeline.stats, 1.0, pipeline.classifier, {}, {}, named=3, started=1)
    assert (made["source"], made["not_started"]) == ("3 sources", 2)
    text = render_report(made)
    assert text.startswith("3 sources  ")
    assert "sources    2 not started" in text
    whole = report.build_total_report(parts, pipeline.stats, 1.0, pipeline.classifier, {}, {}, named=1, started=1)
    assert (whole["source"], whole["not_started"]) == ("1 source", 0)
    assert "not started" not in render_report(whole)


def test_the_text_has_the_frames_that_an_animation_holds(fer_edge, tmp_path: Path) -> None:
    from fer_edge.opencv import cv2

    if not hasattr(cv2, "imencodeanimation"):
        pytest.skip("this OpenCV writes no animations")
    arguments = ("--max-frames", "30", "--start-time", "2026-05-01T14:30:00+02:00")
    done = fer_edge("demo:160x160", "--headless", *arguments, "--output", "a.gif", "--report", "r.json")
    assert done.returncode == 0, done.stderr
    assert "output     a.gif: 10 frames" in done.stderr
    made = json.loads((tmp_path / "r.json").read_text())
    assert made["sinks"]["output"] == {"written": 30, "lost": 0, "frames": 10}
    assert made["settings"]["start_time"] == "2026-05-01T14:30:00+02:00"
