"""Text of strangers (file names, labels, fields of a model) made safe for terminals, logs and spreadsheets."""

import re
import unicodedata

MAX_LABEL_CHARS = 64
JOINERS = "\u200c\u200d"  # invisible, but words of some languages need them


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


def text_cell(text: str) -> str:
    """A CSV cell of a stranger's text, printable and with a ' before what a spreadsheet would take for a formula.

    >>> text_cell("=cmd|'/c calc'!A1"), text_cell("happy")
    ("'=cmd|'/c calc'!A1", 'happy')

    `text_of_cell` undoes the mark, so text that starts with ' and a formula, or with '', gets one more.
    """
    safe = printable(text)
    # A sheet may skip spaces before a formula.
    return f"'{safe}" if re.match(r"'*\s*[=+\-@\t\r]", text) else safe


def text_of_cell(cell: str) -> str:
    """The text that `text_cell` wrote.

    >>> text_of_cell("'=1+1"), text_of_cell("'quoted'")
    ('=1+1', "'quoted'")
    """
    return cell[1:] if re.match(r"'+\s*([=+\-@]|\\[tr])", cell) else cell


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
