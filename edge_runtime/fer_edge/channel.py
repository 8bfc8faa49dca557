"""A bounded queue between two threads: when full, it drops the oldest item or makes the producer wait."""

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):  # noqa: N818 - the end of a queue, not an error
    """The channel is closed and empty, or was aborted."""


class Channel(Generic[Item]):
    """A queue of at most `capacity` items.

    With `drop_oldest` a full channel drops its oldest item for a new one and `put` never waits; otherwise `put` waits
    for room. `dropped` counts the dropped items.
    """

    def __init__(self, capacity: int, drop_oldest: bool) -> None:
        self._items: deque[Item] = deque()
        self._capacity, self._drop_oldest = capacity, drop_oldest
        self._changed = threading.Condition()
        self._closed = self._aborted = False
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Append `item`. Raises Closed if the channel takes no more items."""
        with self._changed:
            while len(self._items) >= self._capacity and not (self._drop_oldest or self._closed or self._aborted):
                self._changed.wait()
            if self._closed or self._aborted:
                raise Closed
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout_s: float | None = None) -> Item:
        """Remove and return the oldest item; wait for one if the channel is empty.

        Raises Closed at the end, and TimeoutError after `timeout_s` seconds without an item.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed or self._aborted, timeout_s):
                raise TimeoutError
            if self._aborted or not self._items:
                raise Closed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Accept no more items, not even from a waiting `put`; `get` still returns the queued ones."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Wake both sides with Closed and lose the queued items."""
        with self._changed:
            self._aborted = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)
