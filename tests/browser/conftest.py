"""A real browser for the tests of the dashboard: Debian's chromium, driven by playwright."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.scripted import ScriptedServer

CHROMIUM = "/usr/bin/chromium"
HERE = Path(__file__).parent
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
INSTALL_TIMEOUT_S = 120

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is in the extra [dev]")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"needs {CHROMIUM}: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    pytest.importorskip("uvicorn", reason="uvicorn is in the extra [web]")
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """`visit(url, ...)` opens a page in a context of its own; afterwards every page must have been without faults.

    Faults are errors of a script, violations of the page's content security policy, and requests to another host.
    """
    faults: list[str] = []
    contexts = []

    def visit(url: str, viewport: dict[str, int] = DESKTOP, **options: Any) -> Any:
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        host = url.split("/")[2]

        def log(message: Any) -> None:
            text = message.text
            if "Content Security Policy" in text or (message.type == "error" and "Failed to load resource" not in text):
                faults.append(text)

        def check(request: Any) -> None:
            if not request.url.startswith("blob:") and request.url.split("/")[2] != host:
                faults.append(f"request to {request.url}")

        page.on("console", log)
        page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
        page.on("request", check)
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, which npm installs as the lock file says."""
    if shutil.which("npm") is None:
        pytest.skip("axe-core needs npm: apt-get install npm")
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
