"""A Containerfile read, and its steps done in folders: a throw-away Debian per stage, RUN by chroot.

No container engine is needed, but root, debootstrap and a network. The base image is replaced by the Debian of the same
release with its own Python, which must be of the same version as the image's.
"""

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

MIRROR = "http://deb.debian.org/debian"
PACKAGES = "python3,python3-venv,ca-certificates"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE = re.compile(r"docker\.io/library/python:(\d+\.\d+)(?:\.\d+)?-slim-(\w+)")
# What pip is told here about the package index; its other settings name files that the root lacks.
PIP_SETTINGS = {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout"}
NETWORK = {"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Instruction:
    """One instruction. flags: what begins with two dashes, for example {"from": "build"}. text: the rest."""

    name: str
    flags: dict[str, str]
    text: str


@dataclass
class Stage:
    """What follows one FROM."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction:
        """The instruction of this name that counts."""
        return [each for each in self.instructions if each.name == name][-1]


def parse(text: str) -> list[Stage]:
    """The stages of a Containerfile."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for line in filter(str.strip, joined.splitlines()):
        name, _, rest = line.strip().partition(" ")
        flags = {}
        while (match := re.match(r"\s*--([\w-]+)=(\S+)\s+", rest)) is not None:
            flags[match[1]], rest = match[2], rest[match.end() :]
        if name == "FROM":
            base, _, stage = expand(rest.strip(), arguments).partition(" AS ")
            stages.append(Stage(base, stage))
        elif not stages:
            assert name == "ARG", line
            arguments |= pairs(rest, {})
        else:
            stages[-1].instructions.append(Instruction(name, flags, rest.strip()))
    return stages


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace $NAME by its value."""
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], text)


def pairs(text: str, values: Mapping[str, str]) -> dict[str, str]:
    """KEY=VALUE of ENV, ARG and LABEL."""
    return {
        key: expand(value, values) for key, _, value in (word.partition("=") for word in shlex.split(text, posix=True))
    }


@dataclass
class Image:
    """A stage that was built: its root folder and what its instructions set."""

    root: Path
    environment: dict[str, str]
    user: str = "0"
    workdir: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def run(self, shell: str, timeout_s: int = 900) -> None:
        """Run a line as RUN does; fail the test if it fails."""
        command = ["chroot", self.root, "/bin/sh", "-c", f"cd {self.workdir} && {shell}"]
        ran = subprocess.run(
            command,
            env=self.environment | pip_environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert ran.returncode == 0, f"RUN {shell}\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}"

    def ids(self) -> tuple[int, int, list[int]]:
        """The user's number, its group's and its further groups', as an engine reads them from the image's files."""
        users = [line.split(":") for line in (self.root / "etc/passwd").read_text().splitlines()]
        ((name, group),) = [(entry[0], entry[3]) for entry in users if entry[2] == self.user]
        groups = [line.split(":") for line in (self.root / "etc/group").read_text().splitlines()]
        return int(self.user), int(group), [int(entry[2]) for entry in groups if name in entry[3].split(",")]


def build(stages: Sequence[Stage], context: Path, folder: Path, cache: Path) -> Image:
    """Do all steps; the image of the last stage. Skips the test where that can't be done."""
    built: dict[str, Image] = {}
    for number, stage in enumerate(stages):
        root = folder / f"stage-{number}"
        subprocess.run(["cp", "-a", base_root(stage.base, cache), root], check=True)
        certificates = Path("/") / CERTIFICATES  # a company's network may have its own
        if certificates.exists():
            shutil.copy(certificates, root / CERTIFICATES)
        for name in ("resolv.conf", "hosts"):
            shutil.copy(Path("/etc") / name, root / "etc" / name)
        image = Image(root, {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"})
        for instruction in stage.instructions:
            do(instruction, image, context, built)
        built[stage.name] = image
    return image


def do(step: Instruction, image: Image, context: Path, built: Mapping[str, Image]) -> None:
    """Do one instruction."""
    match step.name:
        case "RUN":
            image.run(step.text)
        case "COPY":
            *sources, target = step.text.split()
            origin = built[step.flags["from"]].root if "from" in step.flags else context
            for source in sources:
                copy(origin / source.lstrip("/"), image.root, target)
        case "ENV":
            image.environment |= pairs(step.text, image.environment)
        case "WORKDIR":
            image.workdir = step.text
            (image.root / step.text.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = step.text
        case "ENTRYPOINT":
            image.entrypoint = json.loads(step.text)
        case "HEALTHCHECK":
            image.health = json.loads(step.text.removeprefix("CMD"))
        case "ARG" | "LABEL":
            pass
        case _:
            raise ValueError(f"{step.name}: this builder doesn't know it")


def copy(source: Path, root: Path, target: str) -> None:
    """COPY: a folder's content, or a file, without what .dockerignore leaves out."""
    to = root / target.lstrip("/")
    if source.is_dir():
        ignored = None if source.is_relative_to(root.parent) else shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, to, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    else:
        to = to / source.name if target.endswith("/") else to
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, to)


def base_root(base: str, cache: Path) -> Path:
    """A Debian in place of the image `base`, made once; skips the test where there is no archive."""
    match = BASE.fullmatch(base)
    assert match, f"{base}: this builder replaces docker.io/library/python:3.N-slim-RELEASE only"
    python, suite = match.groups()
    root = cache / f"{suite}-{platform.machine()}"
    if not root.exists():
        part = root.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, part, MIRROR]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            pytest.skip(f"debootstrap made no Debian {suite}: {(ran.stdout + ran.stderr).strip().splitlines()[-1]}")
        part.rename(root)
    assert (root / f"usr/bin/python{python}").exists(), f"Debian {suite} has another Python than {base}"
    return root


def pip_environment() -> dict[str, str]:
    """This machine's package index, for pip in a root: it is in no file."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    settings = {name: os.environ[name] for name in NETWORK & os.environ.keys()}
    for key, value in re.findall(r"^\S+?\.([\w-]+)='(.*)'$", listed, re.MULTILINE):
        if key in PIP_SETTINGS and "file:" not in value:
            settings[f"PIP_{key.upper().replace('-', '_')}"] = value
    return settings | {"PIP_CERT": f"/{CERTIFICATES}"}


def confined(image: Image, data: Path, shell: str) -> list[str]:
    """The command that runs `shell` as a container does: the image's user, its root read-only, /tmp and `data` not."""
    user, group, groups = image.ids()
    root = shlex.quote(str(image.root))
    inner = " ".join(f"{key}={shlex.quote(value)}" for key, value in image.environment.items())
    numbers = f"--userspec={user}:{group} --groups={','.join(map(str, groups))}"
    outer = f"""
        mount --bind {root} {root}
        mount -t tmpfs none {root}/tmp
        mount -t proc none {root}/proc
        mount --bind /dev {root}/dev
        mount --bind {shlex.quote(str(data))} {root}{image.workdir}
        mount -o remount,ro,bind {root}
        exec chroot {numbers} {root} /usr/bin/env -i {inner} /bin/sh -c {shlex.quote(f"cd {image.workdir}; {shell}")}"""
    return ["unshare", "--mount", "--pid", "--fork", "sh", "-e", "-c", outer]
