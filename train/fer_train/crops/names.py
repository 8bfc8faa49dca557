"""File names of faces: which characters they may have, and how long they may be."""

from fer_edge.guards.text import JOINERS
from fer_train.data.folders import CONTACT_SHEET
from fer_train.transfer.folds import person_of

UNSAFE = set('/\\:*?"<>|') | {chr(code) for code in range(32)}
MAX_NAME_BYTES = 200  # of 255, so that a face's number, its time and .png fit in


def safe_name(name: str) -> str:
    """`name` as the start of a file's name on any system. A long one loses its start, where the outer folders are.

    >>> safe_name("new\\nline: 2"), safe_name(".hidden"), len(safe_name(300 * "x"))
    ('new_line_ 2', '_.hidden', 200)
    """
    safe = "".join("_" if char in UNSAFE or not (char.isprintable() or char in JOINERS) else char for char in name)
    safe = safe.encode()[-MAX_NAME_BYTES:].decode(errors="ignore")  # the cut may fall into a character
    return f"_{safe}" if safe.startswith((".", CONTACT_SHEET)) else safe


class UniqueNames:
    """Makes names unique, upper and lower case alike, in constant time per name."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}  # by a name that is taken: the last number that was tried for it

    def unique(self, name: str) -> str:
        """`name` or, if it is taken, `name` with a number before its last _NUMBER: so it names another person."""
        person, number, free = person_of(name), self._numbers.get(name.casefold(), 1), name
        while free.casefold() in self._numbers:
            number += 1
            free = f"{person}-{number}{name[len(person) :]}"
        self._numbers[free.casefold()] = 1
        self._numbers[name.casefold()] = number
        return free
