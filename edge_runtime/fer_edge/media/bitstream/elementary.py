"""The bytes of one video out of a transport stream (ts, m2ts), a program stream (mpg, vob) or a raw file.

Both containers cut a video at any byte, and their sound may hold any bytes: only the joined video can be searched for
its start codes. Source: ISO/IEC 13818-1 (2.4.3, 2.4.4, 2.5.3), ISO/IEC 11172-1 (2.4.3).
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

Piece = tuple[int, bytes]  # where it is in the file, roughly, and its bytes

TS_CODECS = {0x01: "mpg2", 0x02: "mpg2", 0x1B: "h264", 0x24: "hevc"}
TS_BYTES, TS_LENGTHS = 188, (188, 192, 204)  # of a packet, and with a time or a checksum
SYNC = 0x47  # first byte of a packet
READ_BYTES = 1 << 20
PIECE_BYTES = 1 << 16  # of a program stream, together
HEAD_BYTES = 1 << 21  # in which the table of a transport stream is
MAX_RESYNCS = 100  # in one file; behind more damage nothing is read
MAX_PACKETS = 4_000_000  # of a program stream: more than 4 GB have
PACK, END = 0xBA, 0xB9
PACKET = re.compile(rb"\x00\x00\x01[\xb9-\xff]..", re.DOTALL)
VIDEOS = range(0xE0, 0xF0)


class TsLayout(NamedTuple):
    """Where the first packet of a transport stream starts, and the bytes from one to the next."""

    start: int
    length: int


def ts_layout(head: bytes) -> TsLayout | None:
    """How a transport stream that begins with `head` is laid out, from its first whole packet on; None for others."""
    for length in TS_LENGTHS:
        for start in range(min(length, len(head) - 2 * length)):
            if head[start] == SYNC and head[start : start + 4 * length + 1 : length].strip(b"G") == b"":
                return TsLayout(start, length)
    return None


def is_program(head: bytes) -> bool:
    """True if a file that begins with `head` is a program stream."""
    return head.startswith(b"\0\0\1\xba")


def video_pieces(file: BinaryIO, codec: str) -> Iterator[Piece]:
    """The first video of that codec, piece by piece; nothing if it is not found.

    codec: h264, hevc, mpg1 or mpg2. file: at any place, with seek.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if head.startswith((b"\0\0\1", b"\0\0\0\1")):
        return _program(file) if is_program(head) else _raw(file)
    layout = ts_layout(head)
    name = "mpg2" if codec == "mpg1" else codec  # tables may say either
    pid = ts_videos(head, layout).get(name) if layout else None
    return iter(()) if layout is None or pid is None else _transport(file, layout, pid)


def ts_videos(head: bytes, layout: TsLayout) -> dict[str, int]:
    """The number (PID) of the first video of each codec in an MPEG transport stream, of the first program with one."""
    videos = next((videos for videos in _ts_programs(head, layout).values() if videos), {})
    return {codec: pid for pid, codec in reversed(videos.items())}


def moved_video(file: BinaryIO, size: int, codec: str) -> tuple[str, Iterator[Piece]] | None:
    """The codec and the pieces of a video that has another number (PID) at the end of a transport stream; else None.

    FFmpeg takes it for another video. Joined recordings are such files. codec: of the first video.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(max(0, size - HEAD_BYTES))
    tail = file.read()
    layout, last = ts_layout(head), ts_layout(tail)
    if layout is None or last is None:
        return None
    later = _ts_programs(tail, last, latest=True)
    for program, videos in _ts_programs(head, layout).items():
        if videos:
            others = later.get(program, {})
            if codec not in videos.values() or not others or videos.keys() & others.keys():
                return None
            pid, its_codec = next(iter(others.items()))
            return its_codec, _transport(file, layout, pid)
    return None


def _ts_programs(data: bytes, layout: TsLayout, latest: bool = False) -> dict[int, dict[int, str]]:
    """The codecs of videos by their number (PID), by their program, as its first or `latest` table says."""
    tables, found = {0}, dict[int, dict[int, str]]()
    for start in range(layout.start, len(data) - TS_BYTES + 1, layout.length):
        if data[start] != SYNC or not data[start + 1] & 0x40 or _pid(data[start + 1 : start + 3]) not in tables:
            continue
        payload = _payload(data[start : start + TS_BYTES])
        section = payload[1 + payload[0] :] if payload else b""
        end = min(3 + (int.from_bytes(section[1:3], "big") & 0xFFF) - 4, len(section))
        if section[:1] == b"\0":  # programs
            tables |= {_pid(section[at + 2 : at + 4]) for at in range(8, end - 3, 4)}
        elif section[:1] == b"\2" and len(section) > 12:
            program = int.from_bytes(section[3:5], "big")
            if latest or program not in found:
                found[program] = _streams(section[:end])
    return found


def _streams(section: bytes) -> dict[int, str]:
    """The codecs of a program's videos by their number (PID)."""
    place, found = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF), dict[int, str]()
    while place + 5 <= len(section):
        if section[place] in TS_CODECS:
            found[_pid(section[place + 1 : place + 3])] = TS_CODECS[section[place]]
        place += 5 + (int.from_bytes(section[place + 3 : place + 5], "big") & 0xFFF)
    return found


def _pid(two: bytes) -> int:
    return int.from_bytes(two, "big") & 0x1FFF


def _payload(packet: bytes) -> bytes:
    """What a transport packet holds behind its header and its adaptation field."""
    if not packet[3] & 0x10:
        return b""
    return packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]


def _raw(file: BinaryIO) -> Iterator[Piece]:
    place = file.seek(0)
    while data := file.read(READ_BYTES):
        yield place, data
        place += len(data)


def _transport(file: BinaryIO, layout: TsLayout, pid: int) -> Iterator[Piece]:
    place, length = layout
    step, resyncs = READ_BYTES // length * length, 0
    while True:
        file.seek(place)
        data = file.read(step)
        packets = np.frombuffer(data, np.uint8, len(data) // length * length).reshape(-1, length)[:, :TS_BYTES]
        lost = np.flatnonzero(packets[:, 0] != SYNC)[:1]
        if lost.size:
            packets = packets[: lost[0]]
        if len(packets):
            yield place, _payloads(packets, pid)
        elif not lost.size:
            return
        place += len(packets) * length
        if lost.size:
            resyncs += 1
            if resyncs > MAX_RESYNCS:
                return
            behind = data[len(packets) * length :]
            found = next((at for at in range(min(2 * length, len(behind))) if _is_sync(behind, at, length)), None)
            place += len(behind) if found is None else found


def _is_sync(data: bytes, place: int, length: int) -> bool:
    return data[place] == SYNC and data[place : place + 2 * length + 1 : length].strip(b"G") == b""


def _payloads(packets: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]", pid: int) -> bytes:
    """What the packets of that number hold, without the headers in front."""
    pids = (packets[:, 1] & 0x1F).astype(np.int64) << 8 | packets[:, 2]
    ours = packets[(pids == pid) & (packets[:, 3] & 0x10 > 0)]
    starts = np.where(ours[:, 3] & 0x20, 5 + ours[:, 4].astype(np.int64), 4)
    sizes = np.minimum(starts + 8, TS_BYTES - 1)  # where a PES header states how long its optional fields are
    fields = np.take_along_axis(ours, sizes[:, None], axis=1)[:, 0].astype(np.int64)
    starts += np.where(ours[:, 1] & 0x40, 9 + fields, 0)
    return bytes(ours[np.arange(TS_BYTES) >= starts[:, None]])


def _program(file: BinaryIO) -> Iterator[Piece]:
    """The first video of a program stream: the payload of its PES packets, some together."""
    wanted, parts, first, size = -1, list[bytes](), 0, 0
    for place, kind, packet in _program_packets(file):
        if kind in VIDEOS and wanted in (-1, kind):
            first, wanted = first if parts else place, kind
            parts.append(_pes_payload(packet))
            size += 6 + len(packet)
        if size >= PIECE_BYTES:
            yield first, b"".join(parts)
            parts, size = [], 0
    yield first, b"".join(parts)


def _program_packets(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """The place, the number and the content of the packets of a program stream."""
    start, at, data = file.seek(0), 0, b""
    for _ in range(MAX_PACKETS):
        if len(data) - at < PIECE_BYTES + 6:  # the longest packet
            start, data, at = start + at, data[at:] + file.read(READ_BYTES), 0
        found = PACKET.search(data, at)
        if found is None:  # damaged, or the end
            if not (more := file.read(READ_BYTES)):
                return
            kept = max(at, len(data) - 5)
            start, data, at = start + kept, data[kept:] + more, 0
            continue
        at = found.start()
        if data[at + 3] in (PACK, END):
            at += 4
        else:
            end = at + 6 + int.from_bytes(data[at + 4 : at + 6], "big")
            yield start + at, data[at + 3], data[at + 6 : end]
            at = end


def _pes_payload(packet: bytes) -> bytes:
    """A PES packet's content without its header."""
    if packet[:1] and packet[0] & 0xC0 == 0x80:
        return packet[3 + packet[2] :] if len(packet) > 2 else b""
    data = packet.lstrip(b"\xff")  # MPEG-1: stuffing, the size of a buffer, times
    if data[:1] and data[0] & 0xC0 == 0x40:
        data = data[2:]
    return data[{2: 5, 3: 10}.get(data[0] >> 4, 1) :] if data else b""
