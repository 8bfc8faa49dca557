"""Every error that fer-edge's commands and library raise on bad input, as one tree.

    FerError                what the user named is missing, unreadable or invalid (exit code 1)
    ├── DataError           a data set: its file, a row, a label
    ├── ModelError          a network's file: missing, truncated, not loadable
    │   └── ContractError   an ONNX file without a contract, or with one that can't be used
    ├── SourceError         a camera, video, image, folder or URL
    ├── OutputError         a file that can't be written or must not be overwritten
    ├── GateError           a measured limit that was exceeded (export)
    ├── ConnectError        a connection that can't start as asked: its address, port or token (exit code 2)
    └── MissingExtraError   a command whose optional packages are not installed (exit code 2)

The message is one line: what is wrong, where, and what to do. Only a command's `main` catches these errors. Wrong use
of the Python API raises ValueError or TypeError instead.

A signal that ends a command is not an error: see `Stopped`. This module imports nothing, so that every command can
answer a signal before its own imports are done.
"""

__all__ = [
    "ConnectError",
    "ContractError",
    "DataError",
    "FerError",
    "GateError",
    "MissingExtraError",
    "ModelError",
    "OutputError",
    "SourceError",
]


class FerError(Exception):
    """Base of all errors that a user can cause and fix; `exit_code` is what the command returns."""

    exit_code = 1


class DataError(FerError):
    """A data set's file, row or label is missing or wrong."""


class ModelError(FerError):
    """A network's file is missing, truncated or can't be run."""


class ContractError(ModelError):
    """An ONNX file has no usable contract: its labels and input are unknown."""


class SourceError(FerError):
    """A camera, video, image, folder or URL can't be opened, or returns no frame."""


class OutputError(FerError):
    """A file can't be written, or exists and must not be overwritten."""


class GateError(FerError):
    """A measured limit was exceeded, so nothing was written."""


class ConnectError(FerError):
    """A connection can't start as asked: its address is wrong, its port is taken, its token is missing."""

    exit_code = 2


class MissingExtraError(FerError):
    """A command needs the packages of an extra that is not installed."""

    exit_code = 2

    def __init__(self, command: str, extra: str, module: str) -> None:
        super().__init__(f"{command} needs the package {module}: pip install 'fer-edge[{extra}]'")


class Stopped(BaseException):
    """A signal ends the command. Like KeyboardInterrupt, it passes `except Exception` and runs `finally` blocks.

    exit_code: 128 plus the signal's number, as shells report it. word: the message, and the report's exit reason.
    """

    exit_code: int
    word: str


class Interrupted(Stopped):
    """SIGINT, usually Ctrl-C."""

    exit_code, word = 130, "interrupted"


class Terminated(Stopped):
    """SIGTERM, as from systemd or kill."""

    exit_code, word = 143, "terminated"


class HungUp(Stopped):
    """SIGHUP: the terminal is gone."""

    exit_code, word = 129, "hung up"
