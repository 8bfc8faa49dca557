"""Names of faces' files: what they may hold, and whose face they say it is."""

import re

from fer_edge.guards.text import JOINERS
from fer_train.data.folders import CONTACT_SHEET

NUMBER = re.compile(r"_\d+$")
UNSAFE = set('/\\:*?"<>|') | {chr(code) for code in range(32)}
MAX_NAME_BYTES = 200  # of 255, so that a face's number, its time and .png fit in


def person_of(name: str) -> str:
    """Whose face a file's name tells: all of it up to its last _NUMBER.

    >>> person_of("clip_2_0001000"), person_of("anna")
    ('clip_2', 'anna')
    """
    return NUMBER.sub("", name)


def safe_name(name: str) -> str:
    """`name` as the start of a file's name on any system. A long one loses its start, where the outer folders are.

    >>> safe_name("new\\nline: 2"), safe_name(".hidden"), len(safe_name(300 * "x"))
    ('new_line_ 2', '_.hidden', 200)
    """
    safe = "".join("_" if char in UNSAFE or not (char.isprintable() or char in JOINERS) else char for char in name)
    while len(safe.encode()) > MAX_NAME_BYTES:
        safe = safe[1:]
    return f"_{safe}" if safe.startswith((".", CONTACT_SHEET)) else safe
