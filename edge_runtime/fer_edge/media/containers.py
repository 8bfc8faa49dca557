"""Video containers: whether a file is cut short, and how many frames its index owes.

Only sizes that the container itself states count, so a healthy file is never called cut short. Sources: ISO/IEC
14496-12 (mp4, mov), RFC 9559 (mkv, webm), Microsoft's RIFF and ASF specifications, the GIF89a and FLV specifications.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fer_edge.media.bitstream.structure import ASF, ASF_FILE, ebml_end, ends_in_a_part, ts_packet, vint
from fer_edge.media.formats import layout_of

MP4_FIRST = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"}
MAX_INDEX_BYTES = 64_000_000  # a larger index is not read
MAX_AVI_BYTES = 1_000_000_000  # larger files have an index of another kind
MAX_BOXES = 1_000_000
MAX_RUNS = 1_000_000  # of an index; each takes 100 bytes or more
MAX_FRAMES = 10_000_000  # 46 hours at 60 per second; an index of more is not believed
DV_FRAME_BYTES = (120_000, 144_000)  # of 525 and 625 lines, 25 Mbit/s
EDIT_TOLERANCE = 2  # frames by which FFmpeg and we may disagree at the ends of an edit


def is_cut_short(path: Path) -> bool:
    """True if the container says that it goes on behind the file's end."""
    with path.open("rb") as file:
        return ends_early(file, path.stat().st_size)


def ends_early(file: BinaryIO, size: int) -> bool:
    """True if the container in a file of `size` bytes, open with seek, says that it goes on behind its end."""
    file.seek(0)
    head = file.read(65_536)
    if head[4:8] in MP4_FIRST:
        return any(end > size for _, _, end in _boxes(file, 0, size))
    if head.startswith(b"\x1aE\xdf\xa3"):
        return (_ebml_end(head) or ebml_end(file, size)) > size
    if head.startswith(b"RIFF"):
        return _riff_end(file, size) > size
    if head.startswith(b"GIF8"):
        return _gif_is_cut(file, size)
    if head.startswith(b"FLV"):
        return _flv_is_cut(file, size)
    if head.startswith(ASF) and (place := head.find(ASF_FILE)) >= 0:
        return int.from_bytes(head[place + 40 : place + 48], "little") > size
    if packet := ts_packet(head):
        return size % packet[0] != 0
    if head.startswith(b"\x1f\x07\0"):
        return size % DV_FRAME_BYTES[head[3] >> 7] != 0
    if head.startswith(b"\xff\xd8\xff"):  # JPEG images, one behind the other
        file.seek(max(0, size - 1024))
        return b"\xff\xd9" not in file.read()
    return ends_in_a_part(file, size)


def announces_length(path: Path) -> bool:
    """True if the container's head says how long the video is; FFmpeg estimates that of others from the bytes."""
    with path.open("rb") as file:
        head = file.read(16)
    return head[4:8] in MP4_FIRST or head.startswith((b"\x1aE\xdf\xa3", b"RIFF", b"FLV", ASF))


def owed_frames(path: Path) -> int | None:
    """How many frames the index of an mp4, mov or avi file lists; None without one.

    Those outside an edit list, and the empty ones of an avi file, which repeat the frame before, do not count.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        if head.startswith(b"RIFF"):
            return _avi_frames(file, size)
        if head[4:8] not in MP4_FIRST:
            return None
        for kind, start, end in _boxes(file, 0, size):
            if kind == b"moov" and end <= size and end - start <= MAX_INDEX_BYTES:
                file.seek(start)
                try:
                    return _owed(memoryview(file.read(end - start)))
                except (struct.error, IndexError):
                    return None
    return None


def _boxes(file: BinaryIO, start: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content and stated end of the boxes in a file."""
    for _ in range(MAX_BOXES):
        file.seek(start)
        head = file.read(16)
        if len(head) < 8 or not any(head):  # the end, or padding
            return
        length, kind, begin = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if length == 1:
            length, begin = int.from_bytes(head[8:16], "big"), start + 16
        end = size if length == 0 else start + length
        if end < begin or not kind.isascii():
            return
        yield kind, begin, end
        start = end


def child_boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of the boxes in `data`, up to one that is not complete."""
    start = 0
    while start + 8 <= len(data):
        length, kind = int.from_bytes(data[start : start + 4], "big"), bytes(data[start + 4 : start + 8])
        begin = start + 8
        if length == 1:
            length, begin = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        end = len(data) if length == 0 else start + length
        if end < begin or end > len(data):
            return
        yield kind, data[begin:end]
        start = end


def inner_box(data: memoryview, *path: bytes) -> memoryview | None:
    """The content of the first box below `data` at `path`."""
    for kind in path:
        found = next((content for name, content in child_boxes(data) if name == kind), None)
        if found is None:
            return None
        data = found
    return data


def _owed(moov: memoryview) -> int | None:
    header = inner_box(moov, b"mvhd")
    if header is None or inner_box(moov, b"mvex") is not None:  # fragments have their own indexes
        return None
    movie_scale = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
    for kind, track in child_boxes(moov):
        handler = inner_box(track, b"mdia", b"hdlr") if kind == b"trak" else None
        if handler is not None and bytes(handler[8:12]) == b"vide":
            return _track_frames(track, movie_scale)
    return None


def _track_frames(track: memoryview, movie_scale: int) -> int | None:
    header, table = inner_box(track, b"mdia", b"mdhd"), inner_box(track, b"mdia", b"minf", b"stbl")
    durations = None if table is None else inner_box(table, b"stts")
    if header is None or table is None or durations is None:
        return None
    scale = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
    runs = _runs(durations)
    total = sum(count for count, _ in runs)
    if total > MAX_FRAMES:
        return None
    edits = _edits(inner_box(track, b"edts", b"elst"), scale / max(movie_scale, 1))
    if not edits:
        return total
    shifts = _runs(inner_box(table, b"ctts"))[:total]
    offsets = [offset for count, offset in shifts for _ in range(min(count, MAX_FRAMES))]
    shown, time, index = 0, 0, 0
    for count, duration in runs:
        for _ in range(count):
            at = time + (offsets[index] if index < len(offsets) else 0)
            shown += any(start <= at < end for start, end in edits)
            time, index = time + duration, index + 1
    return total if shown == total else max(0, shown - EDIT_TOLERANCE)


def _runs(box: memoryview | None) -> list[tuple[int, int]]:
    """The (count, value) pairs of an stts or ctts box; offsets of ctts may be negative. IndexError for too many."""
    if box is None:
        return []
    count = min(struct.unpack_from(">I", box, 4)[0], (len(box) - 8) // 8)
    if count > MAX_RUNS:
        raise IndexError(count)
    return [struct.unpack_from(">Ii", box, 8 + 8 * index) for index in range(count)]


def _edits(box: memoryview | None, to_media: float) -> list[tuple[float, float]]:
    """The parts of the media that an edit list shows, in its time units."""
    if box is None:
        return []
    form, step = (">Qq", 20) if box[0] else (">Ii", 12)
    count = min(struct.unpack_from(">I", box, 4)[0], (len(box) - 8) // step)
    entries = [struct.unpack_from(form, box, 8 + step * index) for index in range(count)]
    shown = [(start, start + length * to_media if length else float("inf")) for length, start in entries if start >= 0]
    return [(start, end + to_media / 2) for start, end in shown]


def _ebml_end(head: bytes) -> int:
    """Where the segment of an mkv or webm file ends, as stated; 0 if that is not stated."""
    place = 4
    header_size, place = vint(head, place)
    place += header_size
    if head[place : place + 4] != b"\x18S\x80g":
        return 0
    size, place = vint(head, place + 4)
    return place + size if size >= 0 else 0


def _gif_is_cut(file: BinaryIO, size: int) -> bool:
    """By its chain of blocks, which ends where bytes are damaged, too; of a large file, by its last byte."""
    if size <= MAX_INDEX_BYTES:
        file.seek(0)
        layout = layout_of(file.read())
        return layout is not None and not layout.complete
    file.seek(size - 1024)
    return not file.read().rstrip(b"\0").endswith(b";")


def _riff_end(file: BinaryIO, size: int) -> int:
    end = 0
    while end + 8 <= size:
        file.seek(end)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):  # not filled in: recorded until a power cut
            break
        end += 8 + length
    return end


def _avi_frames(file: BinaryIO, size: int) -> int | None:
    """The frames in the index of an avi file that is one RIFF; larger ones have other indexes, too."""
    file.seek(0)
    head = file.read(65_536)
    if size > MAX_AVI_BYTES or head[8:12] != b"AVI " or _riff_end(file, size) > size:
        return None
    kinds = [head[at.end() + 4 : at.end() + 8] for at in re.finditer(b"strh", head)]
    place = 12
    while place + 8 <= size and b"vids" in kinds:
        file.seek(place)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"idx1" and length <= MAX_INDEX_BYTES:
            stream = b"%02d" % kinds.index(b"vids")
            entries = struct.iter_unpack("<4s4x4xI", file.read(length // 16 * 16))
            return sum(1 for kind, count in entries if kind in (stream + b"dc", stream + b"db") and count)
        place += 8 + length + length % 2
    return None


def _flv_is_cut(file: BinaryIO, size: int) -> bool:
    """True unless the file ends with the size of a tag that is there."""
    file.seek(size - 4)
    length = int.from_bytes(file.read(4), "big")
    if not 11 <= length <= size - 13:
        return True
    file.seek(size - 4 - length)
    return file.read(1) not in (b"\x08", b"\x09", b"\x12")
