"""What the documents show: commands with options that exist, examples that run, links that lead somewhere."""

import doctest
import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
import yaml

import fer_edge
import fer_models
from fer_edge.cli.commands import edge
from fer_edge.demo.scene import draw_scene
from fer_edge.network.classifier import Classifier
from fer_export.cli import export
from fer_train.cli import train

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    ROOT / "models" / "README.md",
    ROOT / "benchmarks" / "README.md",
]
HISTORY = {"CHANGELOG.md"}  # names options and files of its time
COMMANDS = {"fer-edge": edge, "fer-train": train, "fer-export": export}
TRACKER = "../../issues"  # of wherever the repository is shown
EXTENDING = ROOT / "docs" / "extending.md"
PYTHON = ROOT / "docs" / "python.md"

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(document: Path, language: str) -> list[str]:
    """The code blocks of `language` in `document`."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shell_lines(document: Path) -> list[list[str]]:
    """The words of each line of the shell blocks, without comments."""
    text = "\n".join(blocks(document, "sh")).replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


@documents
def test_the_commands_in_documents_are_understood(
    document: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # no defaults of this machine
    for program, *arguments in shell_lines(document):
        if program in COMMANDS and "--help" not in arguments:
            try:
                COMMANDS[program].make_context(program, arguments)
            except click.ClickException as error:
                pytest.fail(f"{program} {shlex.join(arguments)}: {error.format_message()}", pytrace=False)


@documents
def test_modules_that_python_starts_exist(document: Path) -> None:
    if document.name in HISTORY:
        return
    text = document.read_text(encoding="utf-8")
    for module in re.findall(r"python3? -m ((?:benchmarks|fer_\w+)[\w.]*)", text):
        assert importlib.util.find_spec(module) is not None, module
    assert re.findall(r"python3? (?:benchmarks|models)/\S+", text) == []


@documents
def test_links_lead_to_files_and_headings(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith("http") or target == TRACKER:
            continue
        name, _, heading = target.partition("#")
        linked = document.parent / name if name else document
        assert linked.exists(), target
        headings = re.findall(r"^#+ (.*)", linked.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
        assert not heading or heading in anchors, target


NUMBER = re.compile(r"\d+(?:\.\d+)?")


class NearNumbers(doctest.OutputChecker):
    """Compares texts, and their numbers as far as processors agree: int8 answers differ a little between them."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """True if `got` is `want`, numbers aside, and each number is near."""
        pairs = zip(NUMBER.findall(want), NUMBER.findall(got), strict=False)
        texts = (NUMBER.sub("N", text) for text in (want, got))
        return super().check_output(*texts, optionflags) and all(near(*pair) for pair in pairs)


def near(wanted: str, given: str) -> bool:
    """Whether two numbers differ by 5 % at most, or by 2 if they are whole."""
    return abs(float(wanted) - float(given)) <= max(0.05 * float(wanted), 0.0 if "." in wanted else 2.0)


def test_a_session_that_shows_another_number_is_found() -> None:
    checker = NearNumbers()
    assert checker.check_output("happy 95 %, 1.467 s", "happy 93 %, 1.433 s", 0)
    for other in ("happy 85 %, 1.467 s", "happy 95 %, 1.300 s", "sad 95 %, 1.467 s", "happy 95 %", ""):
        assert not checker.check_output("happy 95 %, 1.467 s", other, 0)


@pytest.fixture
def photos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working directory with photo.jpg, a happy face, and empty.jpg, which shows none."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.jpg", draw_scene(2.0, (640, 480)))
    cv2.imwrite("empty.jpg", np.zeros((480, 640, 3), np.uint8))


@documents
@pytest.mark.usefixtures("photos")
def test_python_sessions_print_what_they_show(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = "\n".join(blocks(document, "pycon"))
    test = doctest.DocTestParser().get_doctest(session, {}, document.name, str(document), 0)
    assert doctest.DocTestRunner(NearNumbers()).run(test).failed == 0, capsys.readouterr().out


def test_the_documented_detector_is_the_tested_one() -> None:
    example = (ROOT / "tests" / "edge" / "detectors" / "booth.py").read_text(encoding="utf-8")
    assert example in blocks(EXTENDING, "python")


def run_example(defines: str) -> dict[str, Any]:
    """The names that the example with the text `defines` leaves behind."""
    (code,) = [block for block in blocks(EXTENDING, "python") if defines in block]
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, str(EXTENDING), "exec"), names)
    return names


def test_the_documented_network_runs() -> None:
    import torch

    network = run_example("class TinyNet")["NETWORK"](7)
    assert network(torch.zeros(2, 1, 48, 48)).shape == (2, 7)
    assert f"{network.num_parameters():,} parameters" in EXTENDING.read_text(encoding="utf-8")
    assert network.num_features == network.classifier.in_features


def test_the_documented_sink_runs(tmp_path: Path) -> None:
    from fer_edge.results import FrameResult
    from fer_edge.sinks.base import Published

    sink = run_example("class CountSink")["CountSink"](str(tmp_path / "faces.txt"))
    sink.write(Published(FrameResult(0, 0.0, True), None))
    sink.close()
    assert sink.written == 1
    assert (tmp_path / "faces.txt").read_text() == "0\n"


def test_the_python_page_has_every_public_name() -> None:
    text = PYTHON.read_text(encoding="utf-8")
    assert [name for name in fer_edge.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_the_snippets_for_homes_can_be_read() -> None:
    document = ROOT / "docs" / "connect.md"
    automation, scraping = map(yaml.safe_load, blocks(document, "yaml"))
    assert automation["triggers"][0]["topic"] == "fer-edge/door/face"
    assert scraping["scrape_configs"][0]["job_name"] == "fer-edge"
    (flow,) = map(json.loads, blocks(document, "json"))
    wired = {target for node in flow for wires in node.get("wires", []) for target in wires}
    assert wired <= {node["id"] for node in flow}
    for language in ("yaml", "json", "text"):
        assert all(len(block.splitlines()) <= 10 for block in blocks(document, language))


def test_the_metrics_page_has_every_metric() -> None:
    from fer_edge.serve.metrics import exposition
    from fer_edge.serve.run_state import RunState

    text = exposition(RunState(Classifier(fer_models.default_model()))).decode()
    named = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    documented = (ROOT / "docs" / "connect.md").read_text(encoding="utf-8")
    assert [name for name in named if f"`{name}" not in documented] == []
