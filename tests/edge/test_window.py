import pytest

from fer_edge.sinks import window


def test_without_a_display_there_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(window.sys, "platform", "linux")
    assert not window.screen_available()


def test_a_dead_display_is_no_screen_and_does_not_kill_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":987")
    assert not window.screen_available()


def test_a_window_keeps_the_newest_result_and_counts_the_others() -> None:
    made = window.Window()
    for number in range(5):
        made.offer(f"frame {number}", f"result {number}")  # type: ignore[arg-type]
    assert made.lost == 4
    assert made._newest.get(0) == ("frame 4", "result 4")


def test_a_window_without_a_result_waits_and_stays_open() -> None:
    made = window.Window()
    assert made.show("", timeout_s=0.01)
    made.close()
