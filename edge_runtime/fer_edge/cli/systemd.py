"""Notify systemd that the service is ready, alive and stopping (sd_notify(3)); does nothing without systemd."""

import contextlib
import math
import os
import time


class SystemdNotifier:
    """Sends the notifications of Type=notify. Call `alive` while all is well, as often as you like."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        watchdog_us = os.environ.get("WATCHDOG_USEC", "")
        # With another process's id, the watchdog is not for us (sd_watchdog_enabled(3)).
        ours = os.environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._interval_s = int(watchdog_us) / 1e6 if ours and watchdog_us.isdecimal() else None
        self._pinged_at = -math.inf

    def alive(self, first: bool) -> None:
        """Report that frames come, or a lost source is opened again; with the `first` frame the service is ready."""
        if first:
            self._send("READY=1")
        now = time.monotonic()
        if self._interval_s is not None and now - self._pinged_at >= self._interval_s / 4:
            self._pinged_at = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that the service shuts down."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        import socket  # takes 4 ms to import, and only services need it

        # A leading @ stands for the null byte of the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # While systemd restarts itself it does not listen; the next ping reaches it. If it does not read, don't wait.
        with (
            contextlib.suppress(OSError, AttributeError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection,
        ):
            connection.sendto(message.encode(), socket.MSG_DONTWAIT, address)
