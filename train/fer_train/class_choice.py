"""The value of --classes: which classes to learn, and of which classes of the data each is made.

Pure Python, so that `--help` loads nothing heavy.
"""

import click

ClassChoice = dict[str, tuple[str, ...]]
"""By class to learn, in order, the classes of the data that make it up."""

METAVAR = "NAME[=A+B...],..."
HELP = (
    "The classes to use, in this order: each a class of the data, or a new name and the classes it is made of, "
    "as in happy,neutral,other=angry+disgust+fear+sad+surprise. Faces of classes not named are left out."
)


def parse_classes(text: str) -> ClassChoice:
    """Read the value of --classes; ValueError if it is not of that form or names a class twice."""
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


def spelled(choice: ClassChoice) -> str:
    """`choice` as it is written on the command line."""
    return ",".join(name if sources == (name,) else f"{name}={'+'.join(sources)}" for name, sources in choice.items())


class ClassesType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on
    """click's type of --classes."""

    name = "classes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse_classes(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
