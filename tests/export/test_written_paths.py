"""The last line of an export's table names files, whose names come from strangers."""

from pathlib import Path

from fer_export.report import Report


def test_paths_are_one_printable_line() -> None:
    report = Report({}, {}, [], {}, [("precision", "accuracy")])
    table = report.table([Path("a\x1b[31m\n\u202eb\udce9.onnx"), Path("n.onnx")])
    assert table.splitlines()[-1] == r"wrote a\x1b[31m\n\u202eb\xe9.onnx, n.onnx"
