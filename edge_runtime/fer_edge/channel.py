"""A bounded hand-over from one thread to another: newest wins, or the giver waits."""

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):  # noqa: N818 - an end, not an error
    """The channel is closed and empty, or was aborted."""


class Channel(Generic[Item]):
    """A queue of at most `capacity` items.

    With `drop_oldest` a full channel loses its oldest item to a new one and `put` never waits;
    otherwise `put` waits for room.
    """

    def __init__(self, capacity: int, drop_oldest: bool) -> None:
        self._items: deque[Item] = deque()
        self._capacity, self._drop_oldest = capacity, drop_oldest
        self._changed = threading.Condition()
        self._closed = self._aborted = False
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Hand `item` over; counts what it pushed out in `dropped`. Closed if it is not taken any more."""
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
        """The oldest item; waits for one. Closed at the end, TimeoutError after `timeout_s` without an item."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed or self._aborted, timeout_s):
                raise TimeoutError
            if self._aborted or not self._items:
                raise Closed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Take no more items, a waiting giver's neither; those inside can still be got."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Wake both sides with Closed; what is inside is lost."""
        with self._changed:
            self._aborted = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)
