"""The frame-count invariant under random schedules (hypothesis): every lost frame is counted."""

import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_edge.channel import Channel, Closed
from fer_edge.errors import SourceError
from fer_edge.pipeline.options import StreamOptions
from fer_edge.sources.base import Source, SourceFrame

delays_ms = st.lists(st.sampled_from([0, 0, 0, 1, 3]), min_size=1, max_size=5)
MAX_FRAMES = 30


class Erratic(Source):
    """Frames, some of them unreadable, with pauses; the source may fail at the end."""

    name = "erratic"

    def __init__(self, readable: list[bool], live: bool, fails: bool, pause) -> None:
        self.live, self.fails, self.pause = live, fails, pause
        self.left = list(readable)

    def read(self) -> SourceFrame | None:
        self.pause()
        if self.left:
            image = np.zeros((60, 80), dtype=np.uint8) if self.left.pop() else None
            return SourceFrame(image, None if self.live else (MAX_FRAMES - len(self.left)) / 200)
        if self.fails:
            raise SourceError("gone")
        return None


def pauses(delays: list[int]):
    left = iter(delays * MAX_FRAMES * 2)
    return lambda *_: time.sleep(next(left, 0) / 1000)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    readable=st.lists(st.booleans(), max_size=MAX_FRAMES),
    live=st.booleans(),
    fails=st.booleans(),
    lossless=st.sampled_from([None, True, False]),
    detect_hz=st.sampled_from([None, 5, 50]),
    max_frames=st.sampled_from([None, None, 1, 7]),
    stages=st.tuples(delays_ms, delays_ms, delays_ms),
    stop_ms=st.sampled_from([None, None, 0, 2, 20]),
    breaks=st.sampled_from([None, None, "detector", "classifier"]),
)
def test_every_captured_frame_is_accounted_for(
    fakes, readable, live, fails, lossless, detect_hz, max_frames, stages, stop_ms, breaks
) -> None:
    ours = type(fakes)()
    broken: list[str] = []
    reading, detecting, classifying = map(pauses, stages)

    def breaking(stage: str, pause, calls: int = 0):
        def before(*_: object) -> None:
            nonlocal calls
            calls += 1
            pause()
            if breaks == stage and calls == 4:
                broken.append(stage)
                raise RuntimeError(stage)

        return before

    pipeline = ours.pipeline(
        Erratic(readable, live, fails, reading),
        ours.Detector(before=breaking("detector", detecting)),
        ours.Classifier(before=breaking("classifier", classifying)),
        options=StreamOptions(lossless=lossless, detect_hz=detect_hz, max_frames=max_frames),
    )
    if stop_ms is not None:
        threading.Timer(stop_ms / 1000, pipeline.stop, ["interrupted"]).start()
    ours.finish(pipeline)
    stats, dropped = pipeline.stats, pipeline.dropped
    assert stats.captured == stats.processed + dropped.total() + stats.errors + pipeline.in_flight
    assert stats.captured <= min(len(readable), max_frames or MAX_FRAMES)
    frames = [result.frame for result in ours.published]
    assert frames == sorted(set(frames)), "each once, in order"
    assert len(frames) == stats.processed
    if not broken:
        assert pipeline.in_flight == 0, "a drained run has nothing in flight"
        if pipeline.options.lossless and stop_ms is None:
            assert not dropped
            assert stats.processed == stats.captured - stats.errors


@settings(max_examples=60)
@given(
    items=st.integers(0, 40), capacity=st.integers(1, 5), drops=st.booleans(), producer=delays_ms, consumer=delays_ms,
    end=st.sampled_from(["close", "close", "abort"]),
)  # fmt: skip
def test_a_channel_returns_each_item_once_and_in_order_or_counts_it(
    items, capacity, drops, producer, consumer, end
) -> None:
    channel: Channel[int] = Channel(capacity, drop_oldest=drops)
    taken: list[int] = []

    def take() -> None:
        pause = pauses(consumer)
        with pytest.raises(Closed):
            while True:
                taken.append(channel.get(20))
                pause()

    thread = threading.Thread(target=take)
    thread.start()
    pause = pauses(producer)
    for item in range(items):
        channel.put(item)
        assert len(channel) <= capacity
        pause()
    getattr(channel, end)()
    thread.join(20)
    assert not thread.is_alive()
    assert taken == sorted(set(taken))
    if end == "close":
        assert len(taken) + channel.dropped == items
        assert drops or taken == list(range(items))
        assert taken[-1:] == list(range(items))[-1:], "the newest is never the one that is dropped"
