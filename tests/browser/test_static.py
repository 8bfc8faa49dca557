"""The dashboard's files, without a browser: nothing inline, nothing foreign, nothing missing."""

import re
from pathlib import Path

import pytest

from tests.browser.scripted import STATIC

SCRIPTS = sorted(STATIC.glob("*.js"))
HTML = (STATIC / "index.html").read_text(encoding="utf-8")


def test_the_page_has_no_inline_script_or_style() -> None:
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", HTML) == []


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_no_file_names_another_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert re.findall(r"""https?://|["'(]//|@import\s+url""", text) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_set_text_never_markup(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", code) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_imported_modules_exist(path: Path) -> None:
    imported = re.findall(r'^(?:import|export) .*?from "(.+?)";', path.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in imported if not (STATIC / name).exists()] == []


def test_elements_that_scripts_ask_for_exist() -> None:
    asked = {name for path in SCRIPTS for name in re.findall(r'(?:element|canvas)\("([a-z-]+)"\)', path.read_text())}
    assert len(asked) > 20
    assert sorted(name for name in asked if f'id="{name}"' not in HTML) == []


def test_the_files_that_the_page_loads_exist() -> None:
    loaded = re.findall(r'(?:src|href)="(static/[^"]+)"', HTML)
    assert len(loaded) >= 3
    assert [name for name in loaded if not (STATIC.parent / name).exists()] == []
