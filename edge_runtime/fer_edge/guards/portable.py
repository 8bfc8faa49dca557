"""What some systems lack: flags that are 0 there, signals that don't exist there, and calls that do nothing there.

Windows has no SIGHUP, SIGUSR1, O_NOFOLLOW, fchmod, flock, user numbers or Unix sockets.
"""

import os
import signal
import time

TYPE_CHECKING = False  # see fer_edge/__init__.py
if TYPE_CHECKING:
    from pathlib import Path

O_CLOEXEC: int = getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))
O_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
O_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
O_BINARY: int = getattr(os, "O_BINARY", 0)  # without it, Windows changes line feeds
SIGHUP: "signal.Signals | None" = getattr(signal, "SIGHUP", None)
SIGUSR1: "signal.Signals | None" = getattr(signal, "SIGUSR1", None)
PIPES_WAKE = os.name == "posix" and hasattr(signal, "set_wakeup_fd")  # Windows only knows sockets there
DELETES_OPEN_FILES = os.name == "posix"  # files that are open can be renamed and removed
HAS_PERMISSIONS = os.name == "posix"  # a file's mode says who may read and write it
HAS_DRIVES = os.name == "nt"  # absolute paths begin as C:/ does
NEW_PROCESS_GROUP = 0x200 if os.name == "nt" else 0  # CREATE_NEW_PROCESS_GROUP: Ctrl-C is for the run alone
REPLACE_PAUSES_S = (0.02, 0.1, 0.4)


def set_mode(descriptor: int, mode: int) -> None:
    """Set the permissions of an open file, where files have permissions."""
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)


def is_ours(owner: int) -> bool:
    """True if the user number `owner`, of a file, is this process's; also where there are no user numbers."""
    return not hasattr(os, "geteuid") or owner == os.geteuid()


def replace(source: "Path", target: "Path") -> None:
    """Rename `source` to `target`, which it replaces.

    Windows refuses that while a reader, such as a virus scanner, has one of them open: then wait a moment for it.
    """
    for pause_s in () if DELETES_OPEN_FILES else REPLACE_PAUSES_S:
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    source.replace(target)
