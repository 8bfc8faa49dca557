"""Text of strangers (file names, labels, fields of a model) made safe for terminals, logs and spreadsheets."""

import re
import unicodedata
from collections.abc import Iterable

MAX_LABEL_CHARS = 64
JOINERS = "\u200c\u200d"  # invisible, but words of some languages need them
# A spreadsheet may skip the spaces before a formula.
FORMULA = r"'*\s*[=+\-@\t\r]"
ESCAPE = r"\\(?:\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"


def printable(text: str) -> str:
    r"""`text` with each control, format and line-breaking character, and each byte that is no text, as an escape.

    A file name can then neither forge a log line nor color or reorder a terminal's text. Backslashes stay as they are.

    >>> printable("a\x1b[31m\n\u202eb.jpg")
    'a\\x1b[31m\\n\\u202eb.jpg'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in JOINERS else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python holds the bytes of a file name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def command_line(words: Iterable[object]) -> str:
    r"""A shell command that can be pasted: words with what is not printable are quoted as bash and zsh read it.

    >>> print(command_line(["rm", "two words", "two\nlines"]))
    rm 'two words' $'two\nlines'
    """
    return " ".join(map(_shell_word, map(str, words)))


def _shell_word(word: str) -> str:
    import shlex  # few runs print a command

    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(_shell_char(char) for char in word) + "'"


def _shell_char(char: str) -> str:
    if char in "\\'":
        return f"\\{char}"
    return char if char.isprintable() else _escaped(char)


def text_cell(text: str) -> str:
    r"""A CSV cell of a stranger's text, which `text_of_cell` reads back exactly.

    What is not printable becomes an escape, a backslash is doubled, and what a spreadsheet would take for a formula
    gets a ' in front; so does text that would look like that mark.

    >>> print(text_cell("=cmd|'/c calc'!A1"), text_cell("a\nb.jpg"), text_cell("happy"))
    '=cmd|'/c calc'!A1 a\nb.jpg happy
    """
    plain = text.isprintable() and "\\" not in text
    safe = text if plain else "".join(map(_cell_char, text))
    return f"'{safe}" if re.match(FORMULA, text) else safe


def _cell_char(char: str) -> str:
    kept = char != "\\" and (char.isprintable() or char in JOINERS)
    return char if kept else char.encode("unicode_escape").decode("ascii")


def text_of_cell(cell: str) -> str:
    r"""The text that `text_cell` wrote.

    >>> text_of_cell("'=1+1"), text_of_cell("'quoted'"), text_of_cell(r"a\nb\\c")
    ('=1+1', "'quoted'", 'a\nb\\c')
    """
    text = re.sub(ESCAPE, lambda found: found[0].encode("ascii").decode("unicode_escape"), cell)
    return text[1:] if text.startswith("'") and re.match(FORMULA, text[1:]) else text


def label_fault(label: str) -> str | None:
    r"""Why `label` can't be the name of a class, or None.

    >>> label_fault("happy"), label_fault("a\x07b")
    (None, 'it has characters that can not be printed')
    """
    if not label.strip():
        return "it is empty"
    if len(label) > MAX_LABEL_CHARS:
        return f"it is longer than {MAX_LABEL_CHARS} characters"
    if not label.isprintable() and printable(label) != label:
        return "it has characters that can not be printed"
    return None


def same_label(label: str) -> str:
    """A key that is equal for labels that people read as the same: other case, other Unicode form, spaces around."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", label.strip()).casefold())
