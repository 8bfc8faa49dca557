"""--on-change: run a program for each label change, one at a time, never through a shell."""

import logging
import math
import os
import shlex
import shutil
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from fer_edge.errors import ConnectError, FerError
from fer_edge.guards.text import printable
from fer_edge.sentences import counted
from fer_edge.serve.actions.process import OK, TERMINATE_S, run_program

log = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.5  # between two starts
TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
MAX_WARNINGS = 10
MAX_LOG_LINES = 10  # of one run's output
SHELL_WORDS = {"|", ">", ">>", "<", "&&", "||", ";", "&", "2>&1"}
NOT_PASSED_ON = ("FER_EDGE_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_")  # secrets; systemd's sockets


def parse_command(text: str) -> list[str]:
    """The program and its arguments: the path of a program, or words as a shell would split them.

    Raises ConnectError if it can't be split or on Windows, where pipes have no time limit; FerError if there is no such
    program.
    """
    if sys.platform == "win32":
        raise ConnectError("--on-change does not work on Windows: use --webhook or --mqtt")
    if os.path.isfile(text):  # noqa: PTH113 - pathlib raises if the text is too long for a name
        words = [text if "/" in text else f"./{text}"]
    else:
        try:
            words = shlex.split(text)
        except ValueError:
            raise ConnectError("--on-change has a quote that does not end: close it") from None
    if not words:
        raise ConnectError("--on-change is empty: name a program")
    program = shutil.which(words[0])
    if program is None:
        exists = os.path.isfile(words[0])  # noqa: PTH113
        hint = "chmod +x it" if exists else "name an executable file, or a program on the PATH"
        raise FerError(f"--on-change {words[0]} is not a program that can be run: {hint}")
    for word in SHELL_WORDS.intersection(words):
        log.warning("--on-change runs no shell: %s is an argument like any other; use a script for it", word)
    return [program, *words[1:]]


class CommandWorker:
    """Runs a program with a record on its stdin.

    While it runs, the newest record waits; those before it are lost. A run that takes longer than TIMEOUT_S is ended.
    The program's output goes to the log. Failures are counted and logged; the run doesn't fail.
    """

    name = "on-change"

    def __init__(self, command: list[str]) -> None:
        self.target = Path(command[0]).name
        self.done = self.lost = 0
        self._command = command
        self._outcomes = Counter[str]()
        self._skipped = 0
        self._changed = threading.Condition()
        self._waiting: str | None = None
        self._closing_at: float | None = None  # monotonic time by which everything must have ended
        self._thread: threading.Thread | None = None

    def offer(self, record: str) -> None:
        with self._changed:
            if self._waiting is not None:
                self._skipped += 1
                self.lost += 1
            self._waiting = record
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="fer-on-change", daemon=True)
            self._thread.start()

    def close(self) -> None:
        if self._thread is None:
            return
        with self._changed:
            self._closing_at = time.monotonic() + CLOSE_TIMEOUT_S
            self._changed.notify()
        self._thread.join(CLOSE_TIMEOUT_S + 2 * TERMINATE_S)
        self._thread = None
        if self._skipped or set(self._outcomes) - {OK}:
            runs = ", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.most_common())
            skipped = f"; {counted(self._skipped, 'change')} skipped for newer ones" if self._skipped else ""
            log.info("--on-change: %s: %s%s", counted(self._outcomes.total(), "run"), runs, skipped)

    def _work(self) -> None:
        earliest = 0.0
        while (record := self._next(earliest)) is not None:
            started = time.monotonic()
            earliest = started + MIN_INTERVAL_S
            self._note(*run_program(self._command, record, _environment(), lambda: self._deadline(started)))  # noqa: B023

    def _next(self, earliest: float) -> str | None:
        """The next record, not before monotonic time `earliest`; None at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._closing_at is not None and (self._waiting is None or now >= self._closing_at):
                    self.lost += self._waiting is not None
                    return None
                if self._waiting is not None and (now >= earliest or self._closing_at is not None):
                    record, self._waiting = self._waiting, None
                    return record
                self._changed.wait(None if self._waiting is None else earliest - now)

    def _deadline(self, started: float) -> float:
        closing_at = self._closing_at
        return min(started + TIMEOUT_S, math.inf if closing_at is None else closing_at)

    def _note(self, outcome: str, output: str) -> None:
        failed = outcome != OK
        self.done += not failed
        self.lost += failed
        failures = self._outcomes.total() - self._outcomes[OK]
        self._outcomes[outcome] += 1
        for line in output.splitlines()[:MAX_LOG_LINES]:
            log.info("--on-change: %s", printable(line))
        if failed and failures < MAX_WARNINGS:
            log.warning("--on-change %s: %s", self.target, outcome)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
