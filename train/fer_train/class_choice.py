"""The value of --classes: which classes to learn, and which classes of the data each is made of.

Imports nothing heavy, so that `--help` answers fast.
"""

import click

ClassChoice = dict[str, tuple[str, ...]]
"""Maps each class to learn, in output order, to the classes of the data that are merged into it."""

METAVAR = "NAME[=A+B...],..."
HELP = (
    "Classes to use, in this order. NAME=A+B merges classes under a new name, for example "
    "happy,neutral,bad=angry+sad. Faces of other classes are left out."
)


def parse_classes(text: str) -> ClassChoice:
    """Parse the value of --classes; ValueError if it is malformed or names a class twice.

    parse_classes("happy,other=sad+fear")  # {"happy": ("happy",), "other": ("sad", "fear")}
    """
    choice: ClassChoice = {}
    taken: set[str] = set()
    for item in text.split(","):
        name, equals, members = (part.strip() for part in item.partition("="))
        sources = tuple(member.strip() for member in members.split("+")) if equals else (name,)
        if not name or not all(sources):
            raise ValueError(f"{item.strip()!r} is neither a class nor NAME=A+B")
        if name in choice:
            raise ValueError(f"the class {name} is given twice")
        if twice := next((source for source in sources if source in taken or sources.count(source) > 1), None):
            raise ValueError(f"the class {twice} is used twice")
        taken.update(sources)
        choice[name] = sources
    if len(choice) < 2:
        raise ValueError("two or more classes are needed")
    return choice


def format_classes(choice: ClassChoice) -> str:
    """The value of --classes that parse_classes reads as `choice`.

    >>> format_classes({"happy": ("happy",), "other": ("sad", "fear")})
    'happy,other=sad+fear'
    """
    return ",".join(name if sources == (name,) else f"{name}={'+'.join(sources)}" for name, sources in choice.items())


class ClassesType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """The click type of --classes."""

    name = "classes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse_classes(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
