"""What some systems lack: flags that are 0 there, signals that don't exist there, and calls that do nothing there.

Windows has no SIGHUP, SIGUSR1, O_NOFOLLOW, fchmod, flock, user numbers or Unix sockets.
"""

import os
import signal

O_CLOEXEC: int = getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))
O_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
O_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
O_BINARY: int = getattr(os, "O_BINARY", 0)  # without it, Windows changes line feeds
SIGHUP: "signal.Signals | None" = getattr(signal, "SIGHUP", None)
SIGUSR1: "signal.Signals | None" = getattr(signal, "SIGUSR1", None)
PIPES_WAKE = os.name == "posix" and hasattr(signal, "set_wakeup_fd")  # Windows only knows sockets there
DELETES_OPEN_FILES = os.name == "posix"  # files that are open can be renamed and removed


def set_mode(descriptor: int, mode: int) -> None:
    """Set the permissions of an open file, where files have permissions."""
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, mode)


def is_ours(owner: int) -> bool:
    """True if the user number `owner`, of a file, is this process's; also where there are no user numbers."""
    return not hasattr(os, "geteuid") or owner == os.geteuid()
