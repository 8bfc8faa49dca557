"""A throw-away Debian for aarch64 with the real wheels: downloaded once, unpacked, never installed.

    FOLDER/debs-SUITE/     the .debs of Python and its dependencies, chosen and verified by debootstrap
    FOLDER/wheels-SUITE/   the aarch64 wheels, in the versions of this environment
    FOLDER/root-SUITE/     both unpacked; the wheels in opt/site

A program in the root sees this machine's files where the root lacks them (qemu's -L), so the root must not have /tmp or
/home.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fer_edge.errors import FerError

REPOSITORY = Path(__file__).parents[2]
SYSTEM_PACKAGES = ("python3", "libgomp1", "libstdc++6")
TEST_PACKAGES = ("pytest", "hypothesis", "onnx")
# The root has no libGL and needs no windows.
REPLACEMENTS = {"opencv-python": "opencv-python-headless"}
KEPT_FOLDERS = {"bin", "sbin", "lib", "lib64", "usr", "etc", "opt"}
SITE = "opt/site"
NEWEST_GLIBC_MINOR, OLDEST_GLIBC_MINOR = 36, 17  # of Debian 12 and of manylinux2014


def requirements(pyproject: Path, installed: Callable[[str], str] = importlib.metadata.version) -> list[str]:
    """The packages of the runtime and of the tests, in the versions that are installed here.

    With equal versions, only the architecture differs.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[^\w.-]", dependency)[0] for dependency in project["dependencies"]]
    return [f"{REPLACEMENTS.get(name, name)}=={installed(name)}" for name in (*names, *TEST_PACKAGES)]


def make_root(folder: Path, suite: str, mirror: str | None, log: Callable[[str], None]) -> Path:
    """A root with Python, the wheels and this checkout's fer-edge; earlier downloads are reused.

    Raises FerError if it cannot be made: not root, no tools, no network.
    """
    debs, wheels, root = (folder / f"{kind}-{suite}" for kind in ("debs", "wheels", "root"))
    if not list(debs.glob("*.deb")):
        log(f"downloading Debian {suite} for arm64")
        _download_debs(debs, suite, mirror)
    wanted = requirements(REPOSITORY / "pyproject.toml")
    if _read(wheels / "wanted.json") != wanted:
        log("downloading the aarch64 wheels")
        _download_wheels(wheels, wanted, python_version(debs))
    contents = sorted(path.name for path in (*debs.glob("*.deb"), *wheels.glob("*.whl")))
    if _read(root / "contents.json") != contents:
        log("unpacking")
        _unpack(root, debs, wheels, contents)
    log("building and unpacking fer-edge's own wheel")
    _unpack_own(root / SITE, folder / "own")
    return root


def python_version(debs: Path) -> str:
    """The version of the Python among the .debs, such as "3.11"."""
    found = [match[1] for path in debs.glob("*.deb") if (match := re.match(r"python(3\.\d+)_", path.name))]
    if not found:
        raise FerError(f"{debs} holds no Python: delete the folder and try again")
    return found[0]


def debian_mirror() -> str:
    """The URL of the Debian archive that apt uses here; FerError if there is none."""
    command = [
        "apt-get",
        "indextargets",
        "--format",
        "$(SITE)",
        "Created-By: Packages",
        "Origin: Debian",
        "Label: Debian",
    ]
    try:
        sites = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        sites = []
    if not sites:
        raise FerError("apt uses no Debian archive here (has apt-get update been run?): name one with --mirror")
    return sites[0]


def required_program(program: str, package: str) -> str:
    """The path of `program`; FerError if it is not installed."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise FerError(f"{program} is not installed: sudo apt-get install {package}")
    return path


def _download_debs(debs: Path, suite: str, mirror: str | None) -> None:
    debootstrap = required_program("debootstrap", "debootstrap")
    if os.geteuid() != 0:
        raise FerError("debootstrap needs root to download Debian for arm64: run this once as root")
    part = debs.with_name(f"{debs.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    command = [
        debootstrap, "--download-only", "--arch=arm64", "--variant=minbase",
        f"--include={','.join(SYSTEM_PACKAGES)}", suite, str(part), mirror or debian_mirror(),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        raise FerError(f"debootstrap can't fetch Debian {suite} for arm64 ({last_line(ran)}): is there a network?")
    shutil.rmtree(debs, ignore_errors=True)
    (part / "var/cache/apt/archives").rename(debs)
    shutil.rmtree(part)


def _download_wheels(wheels: Path, wanted: Sequence[str], python: str) -> None:
    part = wheels.with_name(f"{wheels.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    glibc = [f"manylinux_2_{minor}" for minor in range(NEWEST_GLIBC_MINOR, OLDEST_GLIBC_MINOR - 1, -1)]
    platforms = [f"--platform={name}_aarch64" for name in (*glibc, "manylinux2014")]
    abis = [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(part),
        "--only-binary=:all:", "--implementation=cp", f"--python-version={python}", *abis, *platforms, *wanted,
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        raise FerError(f"pip can't fetch the aarch64 wheels ({last_line(ran)}): is there a network?")
    (part / "wanted.json").write_text(json.dumps(wanted), encoding="utf-8")
    shutil.rmtree(wheels, ignore_errors=True)
    part.rename(wheels)


def _unpack(root: Path, debs: Path, wheels: Path, contents: Sequence[str]) -> None:
    part = root.with_name(f"{root.name}.part")
    for folder in (part, root):
        shutil.rmtree(folder, ignore_errors=True)
    dpkg_deb = required_program("dpkg-deb", "dpkg")
    for deb in sorted(debs.glob("*.deb")):
        ran = subprocess.run([dpkg_deb, "-x", str(deb), str(part)], capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise FerError(f"{deb} can't be unpacked ({last_line(ran)}): delete {debs} and try again")
    for path in part.iterdir():
        if path.name not in KEPT_FOLDERS:
            shutil.rmtree(path)
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(part / SITE)
    (part / "contents.json").write_text(json.dumps(contents), encoding="utf-8")
    part.rename(root)


def _unpack_own(site: Path, folder: Path) -> None:
    """Build this checkout's wheel and replace an older one by it, without its dependencies."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(REPOSITORY)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise FerError(f"fer-edge's wheel can't be built ({last_line(ran)}): python -m build --wheel shows why")
    for old in site.glob("fer_*"):
        shutil.rmtree(old)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def last_line(ran: "subprocess.CompletedProcess[str]") -> str:
    """The last line of output of a failed command."""
    lines = (ran.stderr + ran.stdout).strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {ran.returncode}"
