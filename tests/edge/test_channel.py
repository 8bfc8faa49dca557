import threading

import pytest

from fer_edge.channel import Channel, Closed


def test_items_come_out_in_order() -> None:
    channel: Channel[int] = Channel(3, drop_oldest=False)
    for item in range(3):
        channel.put(item)
    assert [channel.get(), channel.get(), channel.get()] == [0, 1, 2]


def test_a_full_dropping_channel_keeps_the_newest_and_counts_the_dropped() -> None:
    channel: Channel[int] = Channel(2, drop_oldest=True)
    for item in range(5):
        channel.put(item)
    assert [channel.get(), channel.get()] == [3, 4]
    assert channel.dropped == 3


def test_a_closed_channel_returns_its_items_and_then_ends() -> None:
    channel: Channel[int] = Channel(2, drop_oldest=False)
    channel.put(1)
    channel.close()
    assert channel.get() == 1
    with pytest.raises(Closed):
        channel.get()
    with pytest.raises(Closed):
        channel.put(2)


def test_an_aborted_channel_returns_nothing() -> None:
    channel: Channel[int] = Channel(2, drop_oldest=False)
    channel.put(1)
    channel.abort()
    with pytest.raises(Closed):
        channel.get()


def test_an_empty_channel_times_out() -> None:
    with pytest.raises(TimeoutError):
        Channel[int](1, drop_oldest=False).get(timeout_s=0.01)


@pytest.mark.parametrize("ending", ["close", "abort"])
def test_a_waiting_producer_is_woken_by_the_end(ending: str) -> None:
    channel: Channel[int] = Channel(1, drop_oldest=False)
    channel.put(0)
    refused = threading.Event()

    def give() -> None:
        try:
            channel.put(1)
        except Closed:
            refused.set()

    thread = threading.Thread(target=give, daemon=True)
    thread.start()
    getattr(channel, ending)()
    thread.join(5)
    assert refused.is_set()


def test_a_waiting_consumer_is_woken_by_an_item_and_by_the_end() -> None:
    channel: Channel[int] = Channel(1, drop_oldest=False)
    taken: list[int | str] = []

    def take() -> None:
        taken.append(channel.get())
        try:
            channel.get()
        except Closed:
            taken.append("end")

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    channel.put(7)
    while len(channel):
        pass
    channel.close()
    thread.join(5)
    assert taken == [7, "end"]


def test_a_waiting_producer_continues_when_the_consumer_makes_room() -> None:
    channel: Channel[int] = Channel(1, drop_oldest=False)
    given = threading.Thread(target=lambda: [channel.put(item) for item in range(100)], daemon=True)
    given.start()
    assert [channel.get(timeout_s=5) for _ in range(100)] == list(range(100))
    given.join(5)
    assert channel.dropped == 0
