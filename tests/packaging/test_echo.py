"""Text reaches a terminal only through functions that make it printable, because names come from strangers."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.packaging.test_structure import PACKAGES, modules_of

DOORS = {  # modules that print by themselves
    "fer_edge.console": "has the doors",
    "fer_edge.cli.status": "rewrites a line; sentences and labels are escaped there",
    "fer_edge.cli.commands": "writes a page of our own as it is",
    "fer_edge.analysis.job": "prints what is escaped, whatever the encoding",
}
PRODUCT = {name: folder for name, folder in PACKAGES.items() if name != "benchmarks"}


def prints_of(source: str) -> Iterator[int]:
    """The lines on which a module prints: print(), click.echo(), click.secho(), sys.stdout.write()."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("print", "click.echo", "click.secho", "echo", "sys.stdout.write", "sys.stderr.write"):
                yield node.lineno


def test_only_the_doors_print() -> None:
    found = [
        f"{module}:{line}"
        for module, path in modules_of(PRODUCT).items()
        if module not in DOORS
        for line in prints_of(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_print_is_found() -> None:
    source = "import click\nclick.echo('a')\nprint('b')\necho_line('c')\nsys.stderr.write('d')\n"
    assert list(prints_of(source)) == [2, 3, 5]


def test_every_door_prints() -> None:
    modules: dict[str, Path] = modules_of(PRODUCT)
    assert [door for door in DOORS if not list(prints_of(modules[door].read_text(encoding="utf-8")))] == []
