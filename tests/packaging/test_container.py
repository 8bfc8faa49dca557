"""deploy/Containerfile: what it says, and what its steps make, run without a container engine in a throw-away Debian.

`make container-check` runs the slow tests: they need root, debootstrap and a network, and take about four minutes, two
of them for the Debian that is kept in build/container.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from fer_edge.cli.commands import edge
from tests.edge.serve.brokers import free_port
from tests.packaging.containerfile import Image, build, confined, parse

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
STAGES = parse((DEPLOY / "Containerfile").read_text(encoding="utf-8"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
COPIED = [
    source
    for stage in STAGES
    for each in stage.instructions
    if each.name == "COPY" and "from" not in each.flags
    for source in each.text.split()[:-1]
]
MAX_INSTALLED_BYTES = 400_000_000


def test_the_base_is_named_with_its_releases() -> None:
    assert {stage.base for stage in STAGES} == {"docker.io/library/python:3.13-slim-trixie"}


def test_the_user_is_a_number_that_is_not_root_s() -> None:
    assert int(STAGES[-1].last("USER").text) > 0


def test_the_image_and_the_compose_example_name_the_version() -> None:
    assert STAGES[-1].last("ARG").text == f"VERSION={VERSION}"
    assert f"image: fer-edge:{VERSION}\n" in (DEPLOY / "compose.yaml").read_text(encoding="utf-8")


def test_the_last_stage_has_few_layers_and_installs_nothing() -> None:
    layers = [each for each in STAGES[-1].instructions if each.name in ("RUN", "COPY", "ADD")]
    assert [each.name for each in layers] == ["RUN", "COPY"]
    assert "install" not in layers[0].text


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    first, *rest = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    assert {line[1:] for line in rest if line.startswith("!")} == set(COPIED)
    assert [name for name in COPIED if not (ROOT / name).exists()] == []


def test_the_headless_opencv_takes_the_place_of_the_one_with_windows() -> None:
    match = re.search(r"sed -i 's/(.*?)/(.*?)/' /src/pyproject.toml", STAGES[0].last("RUN").text)
    assert match
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").replace(match[1], match[2])
    names = {re.split(r"[^\w-]", entry)[0] for entry in tomllib.loads(text)["project"]["dependencies"]}
    assert names == {"numpy", "onnxruntime", "opencv-python-headless", "click"}


def test_the_guide_s_command_lines_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    text = (ROOT / "docs" / "container.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(podman|docker) run \$confined .*? fer-edge (.*)$", text, re.MULTILINE)
    assert [engine for engine, _ in lines].count("podman") == [engine for engine, _ in lines].count("docker") == 5
    for _, arguments in lines:
        assert edge.make_context("fer-edge", shlex.split(arguments)).params["headless"]


@pytest.fixture
def healthcheck(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not be asked
    spec = importlib.util.spec_from_file_location("healthcheck", DEPLOY / "healthcheck.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], None),
        (["demo:", "--headless"], None),
        (["doctor"], None),
        (["tune", "--seconds", "2"], None),
        (["--camera", "0", "--serve", "8080"], ("127.0.0.1", 8080)),
        (["--camera=0", "--serve=0.0.0.0:8081", "--serve-token=/run/secrets/token"], ("127.0.0.1", 8081)),
        (["--serve", "[::]:80"], ("[::1]", 80)),
        (["--serve", "192.168.1.5:80"], ("192.168.1.5", 80)),
        (["serve"], ("127.0.0.1", 8080)),
        (["serve", "--threads", "2", "0.0.0.0:9000"], ("127.0.0.1", 9000)),
    ],
    ids=str,
)
def test_the_health_check_finds_the_server_that_was_asked_for(
    arguments: list[str], expected: tuple[str, int] | None, healthcheck: ModuleType
) -> None:
    assert healthcheck.address(arguments) == expected


def test_the_health_check_reads_the_arguments_of_the_first_fer_edge(tmp_path: Path, healthcheck: ModuleType) -> None:
    lines = {
        "1": ["/sbin/docker-init", "--", "fer-edge", "--serve", "1"],
        "7": ["/opt/fer-edge/bin/python3", "/opt/fer-edge/bin/fer-edge", "--serve", "7"],
        "10": ["fer-edge", "--serve", "10"],
    }
    for number, words in lines.items():
        (tmp_path / number).mkdir()
        (tmp_path / number / "cmdline").write_text("".join(f"{word}\0" for word in words))
    (tmp_path / "8").mkdir()  # ended
    assert healthcheck.command_line(tmp_path) == ["--serve", "7"]
    assert healthcheck.command_line(tmp_path / "8") == []


@pytest.fixture
def server() -> Iterator[tuple[HTTPServer, list[int]]]:
    """A server that answers with the newest status of the list."""
    statuses = [200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses[-1] if self.path == "/api/v1/health" else 404)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running, statuses
        running.shutdown()
        thread.join()


def test_a_container_is_healthy_while_its_server_answers(
    server: tuple[HTTPServer, list[int]],
    healthcheck: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    running, statuses = server
    arguments = ["demo:endless", "--serve", f"0.0.0.0:{running.server_port}"]
    monkeypatch.setattr(healthcheck, "command_line", lambda: arguments)
    assert healthcheck.main() == 0
    statuses.append(503)
    assert healthcheck.main() == 1
    arguments[-1] = str(free_port())  # nothing listens
    assert healthcheck.main() == 1
    arguments[1:] = []
    assert healthcheck.main() == 0
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert words == ["healthy:", "unhealthy:", "unhealthy:", "healthy:"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The Containerfile's last stage, as a folder."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("chroot needs root on Linux")
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed (Debian's package debootstrap)")
    folder = tmp_path_factory.mktemp("container")
    yield build(STAGES, ROOT, folder, ROOT / "build" / "container")
    shutil.rmtree(folder)  # pytest would keep the gigabyte


@pytest.fixture
def data(tmp_path: Path, image: Image) -> Path:
    """The folder that is mounted as /data, which the image's user owns."""
    folder = tmp_path / "data"
    folder.mkdir()
    user, group, _ = image.ids()
    os.chown(folder, user, group)
    return folder


def run(image: Image, data: Path, shell: str) -> "subprocess.CompletedProcess[str]":
    command = confined(image, data, shell)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "unshare failed" in ran.stderr or re.search("^mount: ", ran.stderr, re.MULTILINE):
        pytest.skip(f"mounts are not permitted here: {ran.stderr.strip()}")
    return ran


@pytest.mark.slow
def test_the_entry_point_runs_as_its_user_on_a_read_only_root(image: Image, data: Path) -> None:
    program = " ".join(image.entrypoint)
    ran = run(image, data, f"touch /x; {program} demo: --headless --max-frames 30 --json faces.jsonl && id -G")
    assert ran.returncode == 0, ran.stderr
    assert "/x': Read-only file system" in ran.stderr
    results = data / "faces.jsonl"
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 30
    assert all(line["faces"] for line in lines)
    assert results.stat().st_uid == image.ids()[0] == 10001
    assert ran.stdout.split() == ["10001", "44"]  # 44: video, in Debian


@pytest.mark.slow
def test_nothing_in_the_image_belongs_to_its_user_or_to_everybody(image: Image) -> None:
    user, shared = image.ids()[0], {image.root / name for name in ("tmp", "var/tmp", "run/lock", "dev")}
    for folder, _, names in os.walk(image.root):
        if not any(Path(folder).is_relative_to(path) for path in shared):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                status = path.lstat()
                assert status.st_uid != user, path
                assert path.is_symlink() or not status.st_mode & 0o002, path


@pytest.mark.slow
def test_doctor_finds_nothing_bad_and_the_environment_is_slim(image: Image, data: Path) -> None:
    ran = run(image, data, "fer-edge doctor; echo; ls /opt/fer-edge/bin; fer-edge serve --help")
    assert ran.returncode == 0, ran.stderr
    assert "BAD" not in ran.stdout
    assert "opencv-python-headless" in ran.stdout
    assert "pip" not in ran.stdout.split()
    installed = sum(path.lstat().st_size for path in (image.root / "opt/fer-edge").rglob("*"))
    print(f"/opt/fer-edge: {installed / 1e6:.0f} MB")
    assert installed < MAX_INSTALLED_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("command", ["demo:endless --headless --serve 127.0.0.1:{}", "serve 127.0.0.1:{}"])
def test_the_health_check_asks_the_server(command: str, image: Image, data: Path) -> None:
    check = " ".join(image.health)
    port = free_port()
    script = f"""
        fer-edge {command.format(port)} & server=$!
        for _ in $(seq 60); do
            {check} > health; code=$?
            grep -q answers health && break; sleep 1
        done
        cat health; echo $code; kill $server; wait $server; echo $?"""
    ran = run(image, data, script)
    assert ran.stdout.splitlines() == [f"healthy: http://127.0.0.1:{port}/api/v1/health answers", "0", "143"], (
        ran.stderr
    )


@pytest.mark.slow
def test_a_run_without_a_server_is_healthy(image: Image, data: Path) -> None:
    ran = run(image, data, f"fer-edge demo:endless --headless & sleep 2; {' '.join(image.health)}; echo $?; kill $!")
    assert ran.stdout.splitlines() == ["healthy: no server was asked for", "0"]
