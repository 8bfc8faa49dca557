"""report.html and the confusion matrix: complete, self-contained, escaped, and equal to metrics.json."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from fer_train.data import load_faces
from fer_train.evaluation.metrics import score
from fer_train.evaluation.predictors import open_predictor
from fer_train.evaluation.scoring import evaluate_predictor
from fer_train.networks.checkpoint import load_checkpoint, save_checkpoint
from fer_train.networks.heads import Head
from fer_train.plots import plot_predictions
from fer_train.plots import scores as plots
from fer_train.plots.style import save
from fer_train.report.page import Html, element, safe, table
from fer_train.report.scores import _per_class, options_section, scores_of, write_report

from ..conftest import MERGED, run_fer_train, write_images


class Page(HTMLParser):
    """What a browser sees of a page: its tags, the sources of its pictures, its text and the rows of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.text = ""
        self.in_cell = False
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.in_cell = True
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")


@pytest.fixture(scope="module")
def page(trained: Path) -> Page:
    return Page((trained / "run" / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def metrics(trained: Path) -> Any:
    return json.loads((trained / "run" / "metrics.json").read_text())


def test_the_report_gathers_figures_data_options_and_pictures(page: Page, metrics: Any) -> None:
    for figure in (f"{metrics['accuracy']:.2%}", f"{metrics['macro_f1']:.3f}", f"{metrics['ece']:.3f}"):
        assert figure in page.text
    for name, counts in zip(metrics["per_class"], metrics["confusion"], strict=True):
        assert [name, *map(str, counts)] in page.rows, "a row of the confusion matrix"
    assert ["truth", *metrics["per_class"]] in page.rows
    assert ["happy", "24", "4"] in page.rows and ["all", "168", "28"] in page.rows, "faces per class and split"
    assert ["recipe.batch_size", "16"] in page.rows and ["model", "edgeresnet"] in page.rows
    assert len(page.sources) == 7


def test_the_report_needs_no_script_and_no_other_file(trained: Path, page: Page) -> None:
    text = (trained / "run" / "report.html").read_text(encoding="utf-8")
    assert not page.tags & {"script", "link", "iframe", "object", "base", "form"}
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"https?:|url\(|@import", text)
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text


def test_confusion_png_and_metrics_json_agree_to_the_face(
    trained: Path, metrics: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the second pass, from which the other plots are drawn, would answer a face differently."""
    run = shutil.copytree(trained / "run", tmp_path / "run")
    best = load_checkpoint(run / "best.pt")
    confusion = [[7, 1, 0], [0, 3, 1], [2, 0, 14]]
    head = replace(best.heads[0], metrics=best.metrics | {"confusion": confusion})
    save_checkpoint(replace(best, heads=(head,)), run / "best.pt")
    drawn: list[Any] = []
    monkeypatch.setattr("fer_train.plots.evaluation.plot_confusion", lambda found, _path: drawn.append(found))
    figures: list[Any] = []
    monkeypatch.setattr(plots, "save", lambda figure, _path: figures.append(figure))
    code = run_fer_train(
        "--data", trained / "faces.csv", "--out", run, "--classes", MERGED, "--epochs", 4,
        "--batch-size", 16, "--lr", 0.02, "--no-amp", "--resume",
    )  # fmt: skip
    assert code == 0
    stored = json.loads((run / "metrics.json").read_text())
    assert stored["confusion"] == confusion != metrics["confusion"]
    assert [found["confusion"] for found in drawn] == [confusion]
    (reliability,) = figures
    titles = [axes.get_title() for axes in reliability.axes[:2]]
    assert titles[0] == f"without temperature: ECE {metrics['ece_uncalibrated']:.3f}"
    assert titles[1] == f"with temperature {metrics['temperature']:g}: ECE {metrics['ece']:.3f}, cross-fitted"


def test_the_plotted_matrix_shows_each_count_and_the_total(
    metrics: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(plots, "save", lambda figure, _path: shown.append(figure))
    plots.plot_confusion(metrics, tmp_path / "confusion.png")
    (axes,) = shown[0].axes
    counts = [int(text.get_text()) for text in axes.texts if "%" not in text.get_text()]
    assert np.reshape(counts, (3, 3)).tolist() == metrics["confusion"]
    rows = [label.get_text().partition("\n")[2] for label in axes.get_yticklabels()]
    assert rows == [f"({sum(row)})" for row in metrics["confusion"]]
    assert f"{metrics['images']} images" in axes.get_title() and f"{100 * metrics['accuracy']:.2f}" in axes.get_title()


def test_long_names_of_classes_do_not_run_into_their_neighbors(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("fer_train.plots.evaluation.face_sheet", lambda _images, _columns, captions, _title: captions)
    monkeypatch.setattr("fer_train.plots.evaluation.save", lambda captions, _path: shown.append(captions))
    found = evaluate_predictor(open_predictor(trained / "run" / "best.pt"), load_faces(trained / "faces.csv"), "all")
    long = replace(found.faces, classes=("happy", "neutral", "a name of sixty-four characters and more"))
    plot_predictions(replace(found, faces=long), tmp_path / "predictions.png")
    names = {lines[0][0].rsplit(" ", 2)[0] for lines in shown[0]}
    assert names == {"happy", "neutral", "a name of s..."}


def test_names_of_strangers_are_text(tmp_path: Path) -> None:
    classes = ("<script>alert(1)</script>", "a&b\u202e")
    head = Head("mine", classes, truth="<img src=x onerror=y>", metrics={
        "split": "PublicTest", **score(np.eye(2)[[0, 1, 1]], np.array([0, 1, 0]), classes),
    })  # fmt: skip
    write_report(tmp_path / "r.html", "<b>", scores_of([head]), [("Options", options_section({"a": {"<i>": "<u>"}}))])
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert not page.tags & {"script", "img", "b>", "i", "u"} and not page.sources
    assert ["<script>alert(1)</script>", "1", "1"] in page.rows
    assert ["a.<i>", "<u>"] in page.rows
    assert "a&b\\u202e" in page.text


def test_every_head_and_truth_has_its_figures() -> None:
    one = {"accuracy": 0.5, "split": "PublicTest", "confusion": [[1]], "images": 2}
    heads = [
        Head("people", ("a",), truth="votes", metrics=one | {"truths": [{"truth": "votes"}, {"truth": "people"}]}),
        Head("own", ("a",), truth="labels", metrics=one | {"split": "cross-validation"}),
        Head("old", ("a",)),
    ]  # fmt: skip
    found = [(each.head, each.truth) for each in scores_of(heads)]
    assert found == [("people", "votes"), ("people", "people"), ("own", "labels, cross-validation")]


def test_markup_is_written_and_everything_else_is_escaped() -> None:
    assert safe(Html("<b>")) == "<b>"
    assert element("p", "<b>", Html("<i></i>")).markup == "<p>&lt;b&gt;<i></i></p>"
    assert "<th>&lt;a&gt;</th><td>1</td>" in table(["x", "y"], [["<a>", 1]]).markup


def test_evaluate_and_head_write_a_report(trained: Path, tmp_path: Path) -> None:
    best = trained / "run" / "best.pt"
    assert run_fer_train("evaluate", best, "--data", trained / "faces.csv", "--out", tmp_path / "scores") == 0
    write_images(tmp_path / "faces", ("calm", "<b>glad"), count=6)
    arguments = ["--data", tmp_path / "faces", "--name", "mine", "--checkpoint", best, "--out", tmp_path / "mine"]
    assert run_fer_train("head", *arguments) == 0
    scores = Page((tmp_path / "scores" / "report.html").read_text(encoding="utf-8"))
    mine = Page((tmp_path / "mine" / "report.html").read_text(encoding="utf-8"))
    assert (len(scores.sources), len(mine.sources)) == (4, 1)
    assert ["happy", "4"] in scores.rows
    assert ["<b>glad", "6"] in mine.rows and "cross-validation" in mine.text


def test_a_class_without_faces_has_no_recall() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    metrics = score(probabilities, np.array([0, 1]), ("happy", "sad", "fear"))
    page = _per_class(metrics).markup
    assert "<th>sad</th><td>100.0%</td><td>100.0%</td>" in page
    assert "<th>fear</th><td>0.0%</td><td>-</td>" in page


def test_a_name_that_the_plots_font_lacks_is_no_line_on_stderr(tmp_path: Path) -> None:
    figure = Figure()
    figure.text(0.5, 0.5, "日本")
    save(figure, tmp_path / "a.png")  # a warning would be an error
    assert (tmp_path / "a.png").stat().st_size > 0
