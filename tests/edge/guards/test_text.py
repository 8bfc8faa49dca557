"""Text of strangers: escaped, defused as a CSV cell, and checked as the name of a class."""

import csv
import io
import logging
import os
from pathlib import Path

import pytest

from fer_edge.console import LogFormatter, echo_lines
from fer_edge.guards.text import (
    MAX_LABEL_CHARS,
    command_line,
    label_fault,
    printable,
    same_label,
    text_cell,
    text_of_cell,
)
from fer_edge.results import Face, FrameResult
from fer_edge.sinks.text import CsvSink


@pytest.mark.parametrize(("text", "shown"), [
    ("café 日本 é.jpg", "café 日本 é.jpg"),
    ("a\nfer-edge: forged", r"a\nfer-edge: forged"),
    ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    ("\x9b31m", r"\x9b31m"),
    ("a\u202egpj.exe", r"a\u202egpj.exe"),
    ("a\u2028b", r"a\u2028b"),
    (os.fsdecode(b"caf\xe9.jpg"), r"caf\xe9.jpg"),
    ("\ud800", r"\ud800"),
    ("\U000e0041", r"\U000e0041"),
])  # fmt: skip
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize("text", [
    "=cmd|'/c calc'!A1", "+1", "-1", "@sum", " =1", "'=1", "''+1", "\t=1", "\r1", "\t1", "\n=1", "'\t1",
])  # fmt: skip
def test_a_cell_that_starts_a_formula_is_defused_and_read_back(text: str) -> None:
    cell = text_cell(text)
    assert cell.startswith("'") and cell.isprintable()
    assert text_of_cell(cell) == text


@pytest.mark.parametrize("text", ["happy", "'quoted'", "a=b", "a-b.jpg", "", "é 日本"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert text_of_cell(text_cell(text)) == text_cell(text) == text


@pytest.mark.parametrize("text", [
    "a\nb", r"a\nb", "\\", "\\\\x41", "\x1b[31m", "\x9b", "\udc9b", "\udcff", "\u202e", "\U000e0041", "می\u200cخ",
    "'\\=1",
])  # fmt: skip
def test_escaped_cells_are_printable_and_read_back_exactly(text: str) -> None:
    assert printable(text_cell(text)) == text_cell(text)
    assert text_of_cell(text_cell(text)) == text


@pytest.mark.parametrize("label", [
    "", "  ", "a\nb", "\x1b[31mred", "a\u202eb", "\udce9", "x" * (MAX_LABEL_CHARS + 1),
])  # fmt: skip
def test_labels_that_can_not_be_shown_are_faulty(label: str) -> None:
    assert label_fault(label)


def test_labels_of_all_languages_are_fine_and_compared_as_people_read_them() -> None:
    assert label_fault("می\u200cخندد") is None
    assert same_label("Jale\u0301 ") == same_label("jalé")


def test_a_log_message_is_one_printable_line() -> None:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "%s is gone", ("a\nfer-edge: b\x1b[2J",), None)
    assert LogFormatter("fer-edge: %(message)s").format(record) == r"fer-edge: a\nfer-edge: b\x1b[2J is gone"


def test_printed_lines_keep_their_breaks_only(capsys: pytest.CaptureFixture[str]) -> None:
    echo_lines("a\x1b[31m\nb")
    assert capsys.readouterr().out == "a\\x1b[31m\nb\n"


def test_the_csv_defuses_labels_and_files_but_not_numbers() -> None:
    face = Face((-1.0, 2.0, 3.0, 4.0), 0.9, "=evil", 0.5, {"=evil": 0.5})
    sink = CsvSink("-", ["=evil"], with_file=True)
    line = sink.lines_of(FrameResult(0, 0.0, True, (face,), "@\n.jpg"))
    (row,) = csv.reader(io.StringIO(line))
    assert row[3] == "-1.0" and row[8] == "'=evil" and row[-1] == r"'@\n.jpg"
    sink.close()


def test_a_command_can_be_pasted_whatever_the_names_in_it() -> None:
    assert command_line(["a b", Path("c'd\n"), 1]) == r"'a b' $'c\'d\n' 1"
    assert command_line(["\x1b[1m\u202eb\udce9\\"]) == r"$'\x1b[1m\u202eb\xe9\\'"
