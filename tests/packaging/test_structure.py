"""What may import what: packages in one direction, folders only those below them, and no circles.

The rules are functions that return one sentence per import that breaks them. They are tested twice: on the product,
where they find nothing, and on small packages that break each rule.
"""

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {  # each may import those before it; nothing imports benchmarks
    "fer_models": ROOT / "models" / "fer_models",
    "fer_edge": ROOT / "edge_runtime" / "fer_edge",
    "fer_train": ROOT / "train" / "fer_train",
    "fer_export": ROOT / "export" / "fer_export",
    "benchmarks": ROOT / "benchmarks",
}
LIGHT = {"numpy", "cv2", "onnxruntime", "click"}
EXTRAS = {  # folders that may import the packages of an extra
    "fer_edge.analysis": {"pandas", "matplotlib", "pyarrow"},
    "fer_edge.serve": {"starlette", "uvicorn", "prometheus_client", "paho"},
}

# The folders of a package from the bottom up: each imports only those before it. "*" is where the root's modules are
# that have no place of their own here; `__init__` is the package itself, which names what its users need.
ORDER = {
    "fer_models": ["*"],
    "fer_edge": [
        "errors", "guards", "*", "media", "demo", "network", "detectors", "sources", "tracking", "privacy", "pipeline",
        "sinks", "recognizer", "__init__", "analysis", "serve", "cli", "__main__",
    ],
    "fer_train": [
        "*", "__init__", "data", "networks", "evaluation", "training", "transfer", "detection.synthesis", "detection",
        "crops", "plots", "report", "commands", "cli", "__main__",
    ],
    "fer_export": ["graph", "checks", "int8", "adoption", "*", "__init__", "cli", "__main__"],
    "benchmarks": [
        "__init__", "peers", "harness", "accuracy", "detector", "speed", "raspberry_pi", "scorecard", "*", "run_all",
        "report",
    ],
}  # fmt: skip
MAX_MODULES = 14  # in one folder, its __init__ aside


class Import(NamedTuple):
    """One import statement's target: a module's dotted name, as precise as the modules we know allow."""

    importer: str
    imported: str
    line: int


def modules_of(packages: dict[str, Path]) -> dict[str, Path]:
    """Every module of `packages` by its dotted name; a folder's `__init__` has the folder's name."""
    found = {}
    for folder in packages.values():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(modules: dict[str, Path]) -> list[Import]:
    """Every import of `modules`, those inside functions and for type checkers too."""
    found = []
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [Import(name, alias.name, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the arrows"
                for alias in node.names:
                    target = f"{node.module}.{alias.name}"
                    found.append(Import(name, target if target in modules else str(node.module), node.lineno))
    return found


def place(module: str, order: list[str]) -> str:
    """The entry of `order` that `module` belongs to; KeyError where a folder has none."""
    inside = module.partition(".")[2] or "__init__"
    for entry in sorted(order, key=len, reverse=True):
        if inside == entry or inside.startswith(f"{entry}."):
            return entry
    if "." not in inside and "*" in order:
        return "*"
    raise KeyError(inside)


def wrong_packages(imports: list[Import], packages: list[str]) -> Iterator[str]:
    """Imports of a package that stands later in `packages`."""
    for importer, imported, line in imports:
        own, other = importer.partition(".")[0], imported.partition(".")[0]
        if other in packages and packages.index(other) > packages.index(own):
            yield f"{importer}:{line} imports {imported}: {own} is below {other}"


def wrong_folders(modules: dict[str, Path], imports: list[Import], orders: dict[str, list[str]]) -> Iterator[str]:
    """Folders without a place in their package's order, and imports of a folder that stands above the importer's."""
    places = {}
    for module, path in modules.items():
        order = orders[module.partition(".")[0]]
        try:
            places[module] = place(module, order)
        except KeyError:
            if path.name != "__init__.py":
                yield f"{module}: its folder has no place in ORDER"
    for importer, imported, line in imports:
        package = importer.partition(".")[0]
        if importer not in places or imported not in places or imported.partition(".")[0] != package:
            continue
        own, other = places[importer], places[imported]
        if orders[package].index(other) > orders[package].index(own):
            yield f"{importer}:{line} imports {imported}: in {package}, {own} is below {other}"


def circles(modules: dict[str, Path], imports: list[Import]) -> Iterator[str]:
    """A chain of imports for each module that imports itself through others, the shortest one, each circle once."""
    targets = defaultdict(list)
    for importer, imported, _ in imports:
        if imported in modules and imported != importer:
            targets[importer].append(imported)
    seen: set[frozenset[str]] = set()
    for start in modules:
        paths = [[start]]
        reached = {start}
        for path in paths:  # breadth first: the list grows while it is read
            if start in targets[path[-1]]:
                if frozenset(path) not in seen:
                    seen.add(frozenset(path))
                    yield " -> ".join([*path, start])
                break
            for target in targets[path[-1]]:
                if target not in reached:
                    reached.add(target)
                    paths.append([*path, target])


def wrong_opencv(imports: list[Import]) -> Iterator[str]:
    """Imports of cv2 outside fer_edge.opencv, which turns a missing libGL into a sentence."""
    for importer, imported, line in imports:
        if imported.partition(".")[0] == "cv2" and importer != "fer_edge.opencv":
            yield f"{importer}:{line} imports cv2: use `from fer_edge.opencv import cv2`"


def wrong_onnxruntime(imports: list[Import]) -> Iterator[str]:
    """Imports of onnxruntime outside fer_edge.onnx_runtime; the quantizer, of another package, is free."""
    for importer, imported, line in imports:
        wrong = imported.partition(".")[0] == "onnxruntime" and not imported.startswith("onnxruntime.quantization")
        if wrong and importer != "fer_edge.onnx_runtime":
            yield f"{importer}:{line} imports onnxruntime: use `from fer_edge.onnx_runtime import onnxruntime`"


def wrong_dependencies(imports: list[Import]) -> Iterator[str]:
    """Imports of the device packages beyond the light dependencies and, in its folder, an extra's packages."""
    for importer, imported, line in imports:
        allowed = LIGHT | {"fer_models", "fer_edge"} | sys.stdlib_module_names
        for folder, packages in EXTRAS.items():
            if importer == folder or importer.startswith(f"{folder}."):
                allowed |= packages
        if importer.startswith(("fer_models", "fer_edge")) and imported.partition(".")[0] not in allowed:
            yield f"{importer}:{line} imports {imported}: the device has no such package"


def crowded(modules: dict[str, Path], limit: int) -> Iterator[str]:
    """Folders with more than `limit` modules."""
    for folder, count in Counter(path.parent for path in modules.values() if path.name != "__init__.py").items():
        if count > limit:
            yield f"{folder} holds {count} modules, more than {limit}"


def without_init(modules: dict[str, Path]) -> Iterator[str]:
    """Folders that are no package."""
    for folder in sorted({path.parent for path in modules.values()}):
        if not (folder / "__init__.py").exists():
            yield f"{folder} has no __init__.py"


MODULES = modules_of(PACKAGES)
IMPORTS = imports_of(MODULES)


def nothing(faults: Iterator[str]) -> None:
    """Fail with one line per fault."""
    lines = list(faults)
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def test_the_modules_of_all_packages_are_found() -> None:
    assert {"fer_models", "fer_edge.cli.commands", "fer_train.cli", "fer_export.cli", "benchmarks.run_all"} <= set(
        MODULES
    )


def test_a_package_imports_only_those_before_it() -> None:
    nothing(wrong_packages(IMPORTS, list(PACKAGES)))


def test_a_folder_imports_only_folders_below_it() -> None:
    nothing(wrong_folders(MODULES, IMPORTS, ORDER))


def test_no_module_imports_itself_through_others() -> None:
    nothing(circles(MODULES, IMPORTS))


def test_only_fer_edge_opencv_imports_cv2() -> None:
    nothing(wrong_opencv(IMPORTS))


def test_only_fer_edge_onnx_runtime_imports_onnxruntime() -> None:
    nothing(wrong_onnxruntime(IMPORTS))


def test_no_folder_holds_too_many_modules() -> None:
    nothing(crowded(MODULES, MAX_MODULES))


def test_every_folder_is_a_package() -> None:
    nothing(without_init(MODULES))


def test_the_shipped_models_import_only_the_standard_library() -> None:
    used = {imported.partition(".")[0] for importer, imported, _ in IMPORTS if importer.startswith("fer_models")}
    assert used - sys.stdlib_module_names == set()


def test_the_device_packages_import_only_the_light_dependencies() -> None:
    nothing(wrong_dependencies(IMPORTS))


def test_an_import_of_an_extra_outside_its_folder_is_found() -> None:
    imports = [Import("fer_edge.analysis.tables", "pandas", 3), Import("fer_edge.cli.run", "pandas", 4)]
    assert list(wrong_dependencies(imports)) == ["fer_edge.cli.run:4 imports pandas: the device has no such package"]


def small_tree(folder: Path, files: dict[str, str]) -> tuple[dict[str, Path], list[Import]]:
    """The modules and imports of packages `low` and `high`, written from `files`: path -> code."""
    for name, code in {"low/__init__.py": "", "high/__init__.py": "", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    modules = modules_of({"low": folder / "low", "high": folder / "high"})
    return modules, imports_of(modules)


def test_an_import_of_a_later_package_is_found(tmp_path: Path) -> None:
    _, imports = small_tree(tmp_path, {"low/a.py": "import high", "high/b.py": "from low import a"})
    assert list(wrong_packages(imports, ["low", "high"])) == ["low.a:1 imports high: low is below high"]


def test_an_import_of_a_folder_above_is_found(tmp_path: Path) -> None:
    files = {"low/base.py": "def f():\n    from low.top.x import y", "low/top/__init__.py": "", "low/top/x.py": "y = 1"}
    found = list(wrong_folders(*small_tree(tmp_path, files), {"low": ["*", "__init__", "top"], "high": ["*"]}))
    assert found == ["low.base:2 imports low.top.x: in low, * is below top"]


def test_a_folder_without_a_place_is_found(tmp_path: Path) -> None:
    files = {"low/new/__init__.py": "", "low/new/x.py": ""}
    found = list(wrong_folders(*small_tree(tmp_path, files), {"low": ["*"], "high": ["*"]}))
    assert found == ["low.new.x: its folder has no place in ORDER"]


@pytest.mark.parametrize(
    "last", ["from low import a", "def f():\n    import low.a", "if TYPE_CHECKING:\n    import low.a"]
)
def test_a_circle_of_imports_is_found(tmp_path: Path, last: str) -> None:
    files = {"low/a.py": "from low.b import x", "low/b.py": "import low.c", "low/c.py": last}
    assert list(circles(*small_tree(tmp_path, files))) == ["low.a -> low.b -> low.c -> low.a"]


def test_two_circles_are_both_found(tmp_path: Path) -> None:
    files = {"low/a.py": "import low.b", "low/b.py": "import low.a\nimport high.c", "high/c.py": "import low.b"}
    assert sorted(circles(*small_tree(tmp_path, files))) == ["high.c -> low.b -> high.c", "low.a -> low.b -> low.a"]


def test_an_import_of_cv2_is_found(tmp_path: Path) -> None:
    _, imports = small_tree(tmp_path, {"high/b.py": "from cv2 import resize"})
    assert list(wrong_opencv(imports)) == ["high.b:1 imports cv2: use `from fer_edge.opencv import cv2`"]


def test_an_import_of_onnxruntime_is_found(tmp_path: Path) -> None:
    _, imports = small_tree(tmp_path, {"high/b.py": "import onnxruntime\nimport onnxruntime.quantization"})
    message = "high.b:1 imports onnxruntime: use `from fer_edge.onnx_runtime import onnxruntime`"
    assert list(wrong_onnxruntime(imports)) == [message]


def test_a_crowded_folder_is_found(tmp_path: Path) -> None:
    modules, _ = small_tree(tmp_path, {"low/a.py": "", "low/b.py": ""})
    assert list(crowded(modules, 1)) == [f"{tmp_path / 'low'} holds 2 modules, more than 1"]


def test_a_folder_that_is_no_package_is_found(tmp_path: Path) -> None:
    modules, _ = small_tree(tmp_path, {"low/plain/a.py": ""})
    assert list(without_init(modules)) == [f"{tmp_path / 'low' / 'plain'} has no __init__.py"]
