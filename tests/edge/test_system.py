"""Readings of the machine, with stand-ins for its files and programs."""

import stat
from pathlib import Path

import pytest

from fer_edge import system


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The contents of /proc and /sys, by path."""
    contents: dict[str, str] = {}
    monkeypatch.setattr(system, "_read", contents.get)
    return contents


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("Features\t: fp asimd evtstrm crc32 cpuid asimdrdm", None),  # a Raspberry Pi 4
        ("Features\t: fp asimd asimdhp asimdrdm lrcpc dcpop asimddp", "asimddp"),  # a Raspberry Pi 5
        ("flags\t\t: fpu avx512f avx512_vnni", "avx512_vnni"),
        ("model name\t: avx_vnni", None),
    ],
)
def test_a_dot_product_instruction_is_recognized_by_its_flag(
    files: dict[str, str], line: str, flag: str | None
) -> None:
    files["/proc/cpuinfo"] = f"processor\t: 0\n{line}\n"
    assert system.dot_product_flag() == flag


def test_the_board_name_is_preferred_to_the_processor_name(files: dict[str, str]) -> None:
    assert system.cpu_name() == ""
    files["/proc/cpuinfo"] = "model name\t: Some CPU @ 2 GHz\n"
    assert system.cpu_name() == "Some CPU @ 2 GHz"
    files["/proc/device-tree/model"] = "Raspberry Pi 5 Model B Rev 1.0"
    assert system.cpu_name() == "Raspberry Pi 5 Model B Rev 1.0"


def test_temperature_and_clock_are_in_degrees_and_megahertz_or_none(files: dict[str, str]) -> None:
    assert (system.temperature_c(), system.clock_mhz()) == (None, None)
    files["/sys/class/thermal/thermal_zone0/temp"] = "48312"
    files["/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"] = "1500000"
    assert (system.temperature_c(), system.clock_mhz()) == (48.312, 1500)
    files["/sys/class/thermal/thermal_zone0/temp"] = "?"
    assert system.temperature_c() is None


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo throttled=0x0", []),
        ("echo throttled=0x50005", ["under-voltage now", "throttled now", "under-voltage since boot", "throttled since boot"]),  # noqa: E501
        ("echo throttled=0x80000", ["soft temperature limit since boot"]),
        ("echo nonsense", None),
        ("exit 1", None),
    ],
)  # fmt: skip
def test_throttling_is_read_from_vcgencmd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: list[str] | None
) -> None:
    program = tmp_path / "vcgencmd"
    program.write_text(f'#!/bin/sh\n[ "$1" = get_throttled ] && {script}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert system.throttling() == found


def test_throttling_is_none_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system.throttling() is None
    assert set(system.readings()) == {"temperature_c", "clock_mhz", "throttling"}


def test_free_memory_is_returned_where_the_system_can(monkeypatch: pytest.MonkeyPatch) -> None:
    system.return_free_memory()
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())  # no malloc_trim, as in other C libraries
    system.return_free_memory()
