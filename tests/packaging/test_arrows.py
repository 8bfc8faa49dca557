"""The four packages import each other in one direction only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "fer_models": ROOT / "models" / "fer_models",
    "fer_edge": ROOT / "edge_runtime" / "fer_edge",
    "fer_train": ROOT / "train" / "fer_train",
    "fer_export": ROOT / "export" / "fer_export",
}
ORDER = list(FOLDERS)  # each may import those before it
LIGHT = {"numpy", "cv2", "onnxruntime", "click"}


def imported(package: str) -> dict[str, set[str]]:
    """The top-level modules that each file of `package` imports, at any depth of its code."""
    found = {}
    for path in FOLDERS[package].rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative imports hide the arrows"
                names.add((node.module or "").partition(".")[0])
        found[str(path.relative_to(ROOT))] = names
    return found


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_those_before_it(package: str) -> None:
    later = set(ORDER[ORDER.index(package) + 1 :])
    files = imported(package)
    assert files
    assert {path: names & later for path, names in files.items() if names & later} == {}


@pytest.mark.parametrize("package", ["fer_models", "fer_edge"])
def test_the_device_packages_import_only_the_light_dependencies(package: str) -> None:
    import sys

    allowed = LIGHT | set(ORDER) | sys.stdlib_module_names
    assert {path: names - allowed for path, names in imported(package).items() if names - allowed} == {}
