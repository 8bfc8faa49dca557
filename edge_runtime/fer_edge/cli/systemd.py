"""Tell systemd that the service is up, alive and stopping (sd_notify(3)); silent where there is no systemd."""

import contextlib
import math
import os
import time


class SystemdNotifier:
    """Sends the notifications of Type=notify; call `alive` while frames flow, as often as you like."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        watchdog_us = os.environ.get("WATCHDOG_USEC", "")
        # Set for another process: the watchdog is not ours (sd_watchdog_enabled(3)).
        ours = os.environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._interval_s = int(watchdog_us) / 1e6 if ours and watchdog_us.isdecimal() else None
        self._pinged_at = -math.inf

    def alive(self, first: bool) -> None:
        """A frame was processed since the last call; with the first one the service is up."""
        if first:
            self._send("READY=1")
        now = time.monotonic()
        if self._interval_s is not None and now - self._pinged_at >= self._interval_s / 4:
            self._pinged_at = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        import socket  # 4 ms with all it imports, and only services need it

        # A leading @ stands for the abstract namespace's null byte.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # A systemd that restarts itself does not listen for a moment, and is told again with the next ping. One that
        # does not read must not hold us up.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.sendto(message.encode(), socket.MSG_DONTWAIT, address)
