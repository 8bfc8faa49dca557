import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import fer_models
from fer_edge.cli.commands import edge

SLOW_IMPORT = """
import sys, time
from fer_edge import console
console.LOADING_AFTER_S = 0.05
with console.extra_required("job", "train"):
    time.sleep(float(sys.argv[1]))
print("ready", file=sys.stderr)
"""


def invoke(*arguments: str) -> tuple[int, str]:
    """Run the command in this process; only for what ends before cv2 is needed."""
    result = CliRunner().invoke(edge, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (("docter",), "doctor?"),
        (("--headless", "docter"), "doctor?"),
        (("tun",), "tune?"),
        (("yunett",), "--detector yunet?"),
        (("headles",), "--headless?"),
        (("demo",), "demo:?"),
        (("--source", "demo"), "demo:?"),
        (("camera",), "--camera 0?"),
        (("--jsno", "-"), "--json"),
        (("--no-folow",), "--no-track"),
        (("tune", "--secnds", "3"), "--seconds"),
        (("--headless", "tune"), "tune is a command and comes first"),
    ],
)
def test_a_misspelled_word_or_option_gets_a_suggestion(
    arguments: tuple[str, ...], suggestion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = invoke(*arguments)
    assert code == 2
    assert suggestion in output
    assert "follow" not in output


@pytest.mark.parametrize("word", ["photos", "qqq", "docter.jpg", "dir/docter", "demo:"])
def test_a_word_unlike_all_others_gets_no_suggestion(word: str) -> None:
    edge.check_word(word)


def test_a_file_with_the_name_of_a_misspelled_command_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docter").touch()
    edge.check_word("docter")


def test_help_is_a_word_too() -> None:
    assert invoke("help") == invoke("--help")
    assert invoke("help", "tune") == invoke("tune", "--help")
    code, output = invoke("--help")
    for name, command in edge.subcommands.items():
        assert f"\n  {name} " in output
        assert command.get_short_help_str(1000).rstrip(".") in " ".join(output.split())
    assert code == 0


def test_the_version_names_the_shipped_networks() -> None:
    code, output = invoke("--version")
    assert code == 0
    first, *models = output.splitlines()
    assert len(first.split()) == 2
    shipped = fer_models.manifest()
    for entry in (*shipped["models"].values(), *fer_models.detector_manifest()["models"].values()):
        line = next(line for line in models if entry["file"] in line)
        assert entry["sha256"][:8] in line
    default = shipped["models"][shipped["default"]]
    line = next(line for line in models if default["file"] in line)
    assert line.endswith("(default)")
    head, figures = next(iter(default["heads"].items()))
    assert f"{head} right on {100 * figures['accuracy']:.1f} % ({figures['truth']})" in line


@pytest.mark.parametrize(("seconds", "shown"), [("0.6", "loading packages ...\r\x1b[Kready"), ("0", "ready")])
def test_a_slow_import_is_announced_on_a_terminal_and_erased(seconds: str, shown: str) -> None:
    terminal, child_end = pty.openpty()
    subprocess.run([sys.executable, "-c", SLOW_IMPORT, seconds], stderr=child_end, check=True, timeout=60)
    os.close(child_end)
    assert os.read(terminal, 1000).decode().strip() == shown
    os.close(terminal)


def test_a_slow_import_is_not_announced_in_a_log() -> None:
    ran = subprocess.run([sys.executable, "-c", SLOW_IMPORT, "0.3"], capture_output=True, check=True, timeout=60)
    assert ran.stderr == b"ready\n"


def test_an_unknown_option_keeps_its_message_without_a_suggestion() -> None:
    with pytest.raises(click.NoSuchOption, match="--zzz"):
        edge.make_context("fer-edge", ["--zzz"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--model no.onnx", "--model no.onnx is not a file: name an ONNX file that fer-export wrote"),
        ("--detector-model no.onnx", "--detector-model no.onnx is not a file: name YuNet's, face_detection_yunet_2023"),
        ("--detector luma --detector-model no.onnx", "--detector-model no.onnx is not a file: name a detector's ONNX"),
        (
            "--detector yunet",
            "the detector yunet needs its file: give face_detection_yunet_2023mar.onnx",
        ),
    ],
)
def test_an_error_about_a_network_names_its_option(fer_edge, arguments: str, message: str) -> None:
    ran = fer_edge("demo:", "--headless", *arguments.split(), with_model="--model" not in arguments.split())
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"fer-edge: {message}")
    assert ran.stderr.count("\n") == 1
