"""Every error that fer-edge's commands and library raise on bad input, as one tree.

    FerError                what the user named is missing, unreadable or invalid (exit code 1)
    ├── DataError           a data set: its file, a row, a label
    ├── ModelError          a network's file: missing, truncated, not loadable
    │   └── ContractError   an ONNX file without a contract, or with one that can't be used
    ├── SourceError         a camera, video, picture, folder or URL
    ├── OutputError         a file that can't or must not be written
    ├── GateError           a measured bound that was not kept (export)
    └── MissingExtraError   a command whose optional packages are not installed (exit code 2)

The message is one line: what was wrong, where, and what to do. Only a command's `main` catches
them. Wrong use of the Python API raises ValueError or TypeError instead.
"""

__all__ = [
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
    """Base of all errors that a user can cause and mend; `exit_code` is what the command returns."""

    exit_code = 1


class DataError(FerError):
    """A data set's file, row or label is missing or wrong."""


class ModelError(FerError):
    """A network's file is missing, truncated or can't be run."""


class ContractError(ModelError):
    """An ONNX file says nothing, or nothing usable, about its labels and input."""


class SourceError(FerError):
    """A camera, video, picture, folder or URL can't be opened or gives no frame."""


class OutputError(FerError):
    """A file can't be written, or exists and must not be overwritten."""


class GateError(FerError):
    """A measured bound was not kept, so nothing was written."""


class MissingExtraError(FerError):
    """A command needs packages of an extra that is not installed."""

    exit_code = 2

    def __init__(self, command: str, extra: str, module: str) -> None:
        super().__init__(f"{command} needs the package {module}: pip install 'fer-edge[{extra}]'")
