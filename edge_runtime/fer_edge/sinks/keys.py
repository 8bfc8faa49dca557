"""What keys of the window mean, and what the run does then. Imports nothing heavy: every run loads it."""

from enum import Enum


class Key(Enum):
    """What a key means."""

    PAUSE = "pause"
    STEP = "step"
    BACK = "back"
    LEFT = "left"
    RIGHT = "right"
    NEXT = "next"
    PREVIOUS = "previous"
    ANY = "any other"


class Action(Enum):
    """What the run does next."""

    CONTINUE = "continue"
    QUIT = "quit"
    NEXT = "next source"
    PREVIOUS = "previous source"
