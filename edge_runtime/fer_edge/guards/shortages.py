"""Errors of a machine that has no memory or no threads left: each library has its own words for them."""

import errno
import os

_MEMORY = (  # of OpenCV, C++, onnxruntime, the loader of shared libraries, and imports of C modules
    "insufficient memory", "failed to allocate", "bad_alloc", "bad alloc", "out of memory", "cannot allocate memory",
    "failed to map segment", "unable to allocate", "without exception set", "without setting an exception",
)  # fmt: skip
_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_THREADS = ("start new thread", "pthread_create", "thread constructor failed", "failed to create thread")
MAX_TRIED, OPENBLAS_COPIES = 64, 3  # threads of each; numpy, OpenCV and SciPy have their own
_TEMPORARILY = "resource temporarily unavailable"  # what C++ says where a thread can't be started


def lacking_threads() -> str | None:
    """A sentence if the threads that OpenBLAS starts, while numpy and others are imported, can't be started; or None.

    OpenBLAS would print its own lines and interrupt the process as Ctrl-C does.
    """
    import threading

    given = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    end, started = threading.Event(), []
    try:
        for _ in range(OPENBLAS_COPIES * min(int(given) if given.isdecimal() else os.cpu_count() or 1, MAX_TRIED)):
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        return shortage(error)
    finally:
        end.set()
        for thread in started:
            thread.join()
    return None


def shortage(error: BaseException | None) -> str | None:
    """A sentence if `error`, or what caused it, means that memory, threads or files are used up; or None.

    >>> shortage(MemoryError())
    'the memory is used up: end other programs, or raise the limit (ulimit -v, MemoryMax)'
    >>> shortage(ValueError("wrong")) is None
    True
    """
    while error is not None:
        text = str(error).lower()
        if _is_memory(error):
            return "the memory is used up: end other programs, or raise the limit (ulimit -v, MemoryMax)"
        if isinstance(error, OSError) and error.errno in _FILES:
            return "no more files can be opened: end other programs, or raise the limit (ulimit -n, LimitNOFILE)"
        of_runtime = isinstance(error, RuntimeError | OSError) and _TEMPORARILY in text
        if of_runtime or any(words in text for words in _THREADS):
            return "a thread can't be started: free memory, or raise the limit (ulimit -u, ulimit -v, TasksMax)"
        error = error.__cause__ or error.__context__
    return None


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether `error`, or what caused it, means that memory could not be allocated."""
    while error is not None:
        if _is_memory(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_memory(error: BaseException) -> bool:
    text = str(error).lower()
    number = error.errno if isinstance(error, OSError) else None
    return isinstance(error, MemoryError) or number == errno.ENOMEM or any(words in text for words in _MEMORY)
