"""Check a release before it is published: `make release-check`. Takes some minutes; needs only a package index.

Builds the wheel and the sdist twice and compares their bytes, lets twine check them, runs the installed wheel under
every Python at hand with the newest and the oldest allowed dependencies, and writes SHA256SUMS and an SBOM (CycloneDX)
beside the files in dist/.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
OLDEST = ROOT / ".ci" / "constraints-oldest.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = "analysis,web,mqtt"  # with those of training, torch would be installed for each Python
TRY = """
import json, subprocess, sys, tempfile
from pathlib import Path
with tempfile.TemporaryDirectory() as folder:
    results = Path(folder) / "demo.jsonl"
    command = [sys.executable, "-m", "fer_edge", "demo:", "--headless", "--max-frames", "30", "--json", str(results)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert len(lines) == 30 and all(line["faces"] for line in lines)
    from fer_edge.analysis import read_results, summarize
    assert summarize(read_results(results))["frames"] == 30
    import fer_edge.serve.connections
"""


def main() -> int:
    """Run all checks; the exit code is 1 if one fails."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        tools = _environment(Path(sys.executable), scratch / "tools", ["build", "twine", "cyclonedx-bom"])
        files = _build(tools, DIST)
        again = _build(tools, scratch / "again")
        same = [_sha256(file) for file in files] == [_sha256(file) for file in again]
        print(f"{'ok ' if same else 'BAD'} built twice: {'the same bytes' if same else 'different bytes'}")
        checked = subprocess.run([tools, "-m", "twine", "check", "--strict", *files], check=False).returncode == 0
        print(f"{'ok ' if checked else 'BAD'} twine check")
        (wheel,) = (file for file in files if file.suffix == ".whl")
        tried = list(_try(wheel, scratch))
        _write_sbom(tools, scratch / "newest", wheel)
    sums = "".join(f"{_sha256(file)}  {file.name}\n" for file in sorted(DIST.iterdir()))
    (DIST / "SHA256SUMS").write_text(sums, encoding="utf-8")
    print(sums, end="")
    return int(not (same and checked and all(tried) and tried))


def _build(python: Path, out: Path) -> list[Path]:
    environment = os.environ | {"SOURCE_DATE_EPOCH": _commit_time()}
    command = [python, "-m", "build", "--outdir", out, ROOT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return sorted(out.iterdir())


def _commit_time() -> str:
    """Seconds since 1970 of the newest commit; 1980 where there is no repository."""
    ran = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.stdout.strip() or "315532800"


def _try(wheel: Path, scratch: Path) -> Iterator[bool]:
    """Install and run the wheel: newest dependencies under each Python, oldest ones under the oldest Python."""
    found = [(number, python) for number in PYTHONS if (python := _find(number)) is not None]
    print("    not at hand:", ", ".join(set(PYTHONS) - {number for number, _ in found}) or "no Python is missing")
    for index, (number, python) in enumerate(found):
        for kind in ("newest", "oldest")[: 1 + (index == 0)]:
            folder = scratch / (kind if index == 0 else f"{kind}-{number}")
            options = [f"{wheel}[{EXTRAS}]", *(["-c", str(OLDEST)] if kind == "oldest" else [])]
            try:
                ours = _environment(python, folder, options)
                subprocess.run([ours, "-c", TRY], check=True, cwd=scratch)
            except subprocess.CalledProcessError as error:
                print(f"BAD Python {number}, {kind} dependencies: exit code {error.returncode}, see above")
                yield False
            else:
                print(f"ok  Python {number}, {kind} dependencies")
                yield True


def _find(number: str) -> Path | None:
    """A Python of this version on the PATH or of pyenv."""
    paths = [shutil.which(f"python{number}")]
    paths += [str(path) for path in sorted(Path("~/.pyenv/versions").expanduser().glob(f"{number}.*/bin/python"))]
    for path in filter(None, paths):
        ran = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        if re.match(rf"Python {re.escape(number)}\.", ran.stdout):
            return Path(path)
    return None


def _environment(python: Path, folder: Path, packages: list[str]) -> Path:
    """A new virtual environment with `packages`: its Python."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    ours = folder / "bin" / "python"
    quiet = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([ours, "-m", "pip", "install", *quiet, *packages], check=True)
    return ours


def _write_sbom(tools: Path, installed: Path, wheel: Path) -> None:
    """The software bill of materials of the wheel with its light dependencies and extras."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    out = wheel.with_name(f"fer_edge-{version}.cdx.json")
    command = [tools, "-m", "cyclonedx_py", "environment", "--output-reproducible", "-o", out, installed]
    subprocess.run(command, check=True)
    bill = json.loads(out.read_text(encoding="utf-8"))
    for part in bill["components"]:  # where the wheel lay on this machine says nothing to others
        found = part.get("externalReferences", [])
        part["externalReferences"] = [entry for entry in found if not entry["url"].startswith("file:")]
    out.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
    print(f"ok  {out.name}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
