"""The page for the door: complete, escaped, without anything from outside."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_edge.cli.commands import edge, notice
from fer_edge.privacy.notice import LANGUAGES, notice_page

GIVEN = ["--contact", "Café <b>Mu</b> & Co", "--purpose", 'To "see"\nwhich exhibits <script>alert(1)</script> please']


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_says_everything_and_needs_nothing(lang: str) -> None:
    result = CliRunner().invoke(edge, ["notice", "--lang", lang, *GIVEN])
    assert result.exit_code == 0, result.output
    page = result.stdout_bytes.decode()
    assert f'<html lang="{lang}">' in page
    assert "Café &lt;b&gt;Mu&lt;/b&gt; &amp; Co" in page
    assert "To &quot;see&quot;<br>which exhibits &lt;script&gt;alert(1)&lt;/script&gt; please" in page
    assert not re.search(r"<script|<link|<img|https?:|url\(|@import|\son\w+=", page)
    assert "\u00ad" not in re.findall("<title>.*</title>", page)[0], "the heading may be hyphenated, the title not"
    assert page.count("<svg") == page.count("</svg>") == 1
    for law in ("2024/1689", "13", "77", "50", "DSGVO" if lang == "de" else "GDPR"):
        assert law in page


def test_the_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "notice.html"
    arguments = ["notice", "--lang", "de", *GIVEN, "--out", str(out)]
    assert CliRunner().invoke(edge, arguments).exit_code == 0
    first = out.read_bytes()
    out.write_text("mine")
    refused = CliRunner().invoke(edge, arguments)
    assert refused.exit_code == 1
    assert out.read_text() == "mine"
    assert CliRunner().invoke(edge, [*arguments, "--overwrite"]).exit_code == 0
    assert out.read_bytes() == first


@pytest.mark.parametrize("missing", ["--lang", "--contact", "--purpose"])
def test_what_is_missing_or_empty_is_named(missing: str) -> None:
    given = {"--lang": "en", "--contact": "us", "--purpose": "art"}
    without = [word for name, value in given.items() if name != missing for word in (name, value)]
    for arguments in (["notice", *without], ["notice", *without, missing, " \n"]):
        result = CliRunner().invoke(edge, arguments)
        assert result.exit_code == 2, arguments
        assert missing in str(result.exception) + result.output


def test_control_characters_and_stray_bytes_are_escaped() -> None:
    page = notice_page("en", "a\x1b[31m\u202eb\udcff", "c")
    assert r"a\x1b[31m\u202eb\xff" in page
    page.encode()


def test_another_language_is_refused() -> None:
    with pytest.raises(ValueError, match="lang='fr': use en or de"):
        notice_page("fr", "a", "b")


def test_the_command_knows_every_language() -> None:
    (lang,) = (option for option in notice.params if option.name == "lang")
    assert tuple(lang.type.choices) == LANGUAGES
