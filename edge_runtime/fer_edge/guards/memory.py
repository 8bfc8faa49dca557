"""Bound the memory that a network takes: a graph of 700 bytes can ask for any amount.

onnxruntime has no bound for what it allocates while it opens a graph. So the process's limit of writable
memory (RLIMIT_DATA) is lowered meanwhile to what it has now and MAX_MODEL_MEMORY more. Beyond it an allocation fails,
which is an error instead of a machine without memory. Other threads may allocate from the same reserve. Linux enforces
this limit; elsewhere nothing is bounded.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

from fer_edge.errors import ModelError
from fer_edge.guards.limits import MAX_MODEL_MEMORY
from fer_edge.guards.shortages import is_out_of_memory

DATA_FIELD = 5  # of /proc/self/statm: pages of data and stacks

_lock = threading.Lock()
_users = 0
_before = (0, 0)  # the limits outside all blocks
_statm: int | None = None


@contextlib.contextmanager
def bounded_memory(name: str) -> Iterator[None]:
    """Let this process take no more memory in the block than `memory_limit` beyond what it has.

    Raises ModelError, which names the file `name` of the network, if more was needed.
    """
    if not _has_limits():
        yield
        return
    _lower()
    try:
        yield
    except Exception as error:
        if isinstance(error, ModelError) or not is_out_of_memory(error) or _is_limited_by_others():
            raise
        raise ModelError(
            f"{name} takes more than {memory_limit():,} bytes of memory: if you trust it, raise "
            f"{MAX_MODEL_MEMORY.variable}"
        ) from error
    finally:
        _restore()


def memory_limit() -> int:
    """The bytes that a network may take: MAX_MODEL_MEMORY, by default at most half of the machine's memory."""
    limit = MAX_MODEL_MEMORY.value
    if limit == MAX_MODEL_MEMORY.default:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            limit = min(limit, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    return limit


def _has_limits() -> bool:
    """False on Windows."""
    try:
        import resource  # noqa: F401 - only Unix has it, and only networks need it
    except ImportError:
        return False
    return hasattr(os, "pread")


def _lower() -> None:
    global _users, _before
    import resource

    with _lock:
        if not _users:
            _before = resource.getrlimit(resource.RLIMIT_DATA)
        _users += 1
        taken = _taken()
        if taken is not None:
            bounds = [taken + memory_limit(), *(bound for bound in _before if bound != resource.RLIM_INFINITY)]
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), _before[1]))


def _restore() -> None:
    global _users
    import resource

    with _lock:
        _users -= 1
        if not _users:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_DATA, _before)


def _is_limited_by_others() -> bool:
    """Whether this process has a limit (ulimit -v, ulimit -d), which may have been the one that was reached."""
    import resource

    limits = (resource.getrlimit(resource.RLIMIT_AS)[0], _before[0])
    return any(limit != resource.RLIM_INFINITY for limit in limits)


def _taken() -> int | None:
    """Bytes that RLIMIT_DATA counts now; None if the system doesn't say."""
    global _statm
    try:
        if _statm is None:
            _statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        return int(os.pread(_statm, 200, 0).split()[DATA_FIELD]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
