"""Print the test files and folders that cover what has changed, for `make check`.

    python tests/select_tests.py [BASE]

A change is a file that differs from BASE, committed or not, and any new file that git does not ignore. Without BASE it
is the commit at which this branch left origin/main or main. The tests mirror the packages, so a change in
edge_runtime/fer_edge/sources selects tests/edge/sources, and one in edge_runtime/fer_edge/channel.py selects
tests/edge/test_channel.py. tests/packaging/test_structure.py, which reads every module's imports, always runs.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = {
    "edge_runtime/fer_edge/serve/web/static": "tests/browser",
    "edge_runtime/fer_edge": "tests/edge",
    "train/fer_train": "tests/train",
    "train/recipes": "tests/train/test_recipes.py",
    "export/fer_export": "tests/export",
    "benchmarks": "tests/benchmarks",
    "models": "tests/edge/test_recognizer.py",
    "deploy": "tests/packaging/test_deployment.py",
    "examples": "tests/examples",
}
ALWAYS = "tests/packaging/test_structure.py"


def git(*words: str) -> list[str]:
    """The lines that git prints, none where it fails."""
    ran = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.stdout.splitlines() if ran.returncode == 0 else []


def changed_files(base: str | None) -> list[str]:
    """Paths that differ from `base`, relative to the repository, deleted files too."""
    if base is None:
        bases = [commit for branch in ("origin/main", "main") for commit in git("merge-base", "HEAD", branch)]
        base = bases[0] if bases else "HEAD"
    return sorted({*git("diff", "--name-only", base), *git("ls-files", "--others", "--exclude-standard")})


def tests_for(path: str) -> str | None:
    """The test file or folder for one changed file, None where no test reads it."""
    if path.startswith("tests/"):
        test = Path(path) if Path(path).name.startswith("test_") else Path(path).parent
        return str(test) if (ROOT / test).exists() and test != Path("tests") else None
    for folder, tests in TESTS.items():
        if not path.startswith(f"{folder}/"):
            continue
        if tests.endswith(".py"):
            return tests
        inside = Path(tests, *Path(path).relative_to(folder).parts[:-1])
        own_file = inside / f"test_{Path(path).stem}.py"
        if len(inside.parts) == len(Path(tests).parts) and (ROOT / own_file).exists():
            return str(own_file)
        return str(next(known for known in (inside, *inside.parents) if (ROOT / known).is_dir()))
    return "tests/packaging" if path == "pyproject.toml" else None


def select(paths: list[str]) -> list[str]:
    """The tests for all `paths`, none of them inside another."""
    found = {ALWAYS} | {tests for path in paths if (tests := tests_for(path))}
    return sorted(test for test in found if not any(str(parent) in found for parent in Path(test).parents))


if __name__ == "__main__":
    print(*select(changed_files(sys.argv[1] if len(sys.argv) > 1 else None)))
