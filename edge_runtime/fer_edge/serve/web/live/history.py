"""The last minutes in steps of a second: who showed which emotion, for charts."""

import copy
import math
import threading
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from fer_edge.results import Face, FrameResult
from fer_edge.serve.changes import UNSURE

STEP_S = 1
MAX_S = 600


class _Step:
    """What was seen in one step. number: whole seconds since the first frame."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.labels: dict[int, str] = {}  # by face: its last label
        self.rows = Counter[str]()
        self.most = 0

    def add(self, faces: Iterable[Face]) -> None:
        labels = [UNSURE if face.unsure else face.emotion for face in faces]
        self.rows.update(labels)
        self.most = max(self.most, len(labels))
        for face, label in zip(faces, labels, strict=True):
            if face.track_id is not None:
                self.labels[face.track_id] = label

    def shares(self) -> dict[str, float] | None:
        total = self.rows.total()
        return {label: round(rows / total, 4) for label, rows in self.rows.items()} if total else None


class History:
    """The results of the last MAX_S seconds of the current source; a thread adds them and others read.

    >>> from fer_edge.results import Face, FrameResult
    >>> history = History()
    >>> face = Face((0, 0, 9, 9), 0.9, "happy", 0.8, {}, track_id=3)
    >>> history.add(FrameResult(0, 0.0, True, (face,)))
    >>> history.add(FrameResult(9, 2.5, True))
    >>> history.last(3)["faces"], history.last(3)["count"]
    ({'3': ['happy', None, None]}, [1, None, 0])
    """

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque()
        self._lock = threading.Lock()

    def add(self, result: FrameResult) -> None:
        """Add the next result; times that begin again are those of the next source, which replaces this one."""
        number = math.floor(result.t / STEP_S)
        with self._lock:
            steps = self._steps
            if steps and number < steps[-1].number:
                steps.clear()
            if not steps or number > steps[-1].number:
                steps.append(_Step(number))
            while steps[0].number <= number - MAX_S // STEP_S:
                steps.popleft()
            steps[-1].add(result.faces)

    def last(self, seconds: int) -> dict[str, Any]:
        """The last `seconds`, oldest first: per face a label per step, shares of the group, most faces at once.

        A step is None where a face, or for `count` any result, is missing.
        """
        with self._lock:  # briefly: the pipeline waits for it
            steps = [*self._steps]
            if steps:
                steps[-1] = copy.deepcopy(steps[-1])  # the only one that still changes
        newest = steps[-1].number if steps else -1
        first = max(newest - math.ceil(seconds / STEP_S) + 1, steps[0].number if steps else 0)
        kept = {step.number: step for step in steps if step.number >= first}
        faces: dict[str, list[str | None]] = {}
        length = newest - first + 1
        for number, step in kept.items():
            for face, label in step.labels.items():
                faces.setdefault(str(face), [None] * length)[number - first] = label
        numbers = range(first, newest + 1)
        return {
            "step_s": STEP_S,
            "from_t": first * STEP_S,
            "faces": faces,
            "group": [kept[number].shares() if number in kept else None for number in numbers],
            "count": [kept[number].most if number in kept else None for number in numbers],
        }
