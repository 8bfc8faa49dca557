"""Run numbered jobs in several processes, each of which loads its data once."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

Loaded = TypeVar("Loaded")
Result = TypeVar("Result")
_LOADED: list[Any] = []  # what this worker process has loaded


def run_numbered(
    load: Callable[[], Loaded], work: Callable[[Loaded, int], Result], numbers: Iterable[int], workers: int
) -> Iterator[tuple[int, Result]]:
    """Yield each number with `work(load(), number)`, in the order of completion.

    load, work: picklable if there are several workers. `load` also runs here, at once, so that a wrong file fails here
    and not in every worker.
    """
    loaded = load()
    if workers == 1:
        return ((number, work(loaded, number)) for number in numbers)
    return _in_processes(load, work, numbers, workers)


def _in_processes(
    load: Callable[[], Loaded], work: Callable[[Loaded, int], Result], numbers: Iterable[int], workers: int
) -> Iterator[tuple[int, Result]]:
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in an undefined state
    with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(load,)) as executor:
        numbers_of = {executor.submit(_call, work, number): number for number in numbers}
        for future in as_completed(numbers_of):
            yield numbers_of[future], future.result()


def _start_worker(load: Callable[[], Any]) -> None:
    """Load, and end this process when its parent has ended: a killed parent can't stop its workers."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    _LOADED[:] = [load()]


def _call(work: Callable[[Any, int], Result], number: int) -> Result:
    return work(_LOADED[0], number)
