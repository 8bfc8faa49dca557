"""How much memory an opened video's decoder takes, and how many threads it may have for that.

A decoder keeps frames that others refer to, or that wait for their turn. Each of its threads has its own frames. All
of them are allocated while frames are read, so what the headers say is enough to refuse a video, or to open it with
fewer threads. benchmarks.speed.limits measures what it takes in the end.
"""

import os

from fer_edge.guards.limits import MAX_DECODING_BYTES
from fer_edge.media.bitstream.parameters import SAMPLES, Kept, kept_frames
from fer_edge.opencv import cv2

MAX_THREADS = 4
FRAMES_PER_THREAD = 1.5  # beyond the first thread
REFERENCES = {"vp90": 7, "av01": 7, "h264": 4, "hevc": 4}  # where no parameters say it; AV1 and VP9 have up to eight
FEW_REFERENCES = 2  # of other codecs
NAMES = {"avc1": "h264", "avc3": "h264", "x264": "h264", "hvc1": "hevc", "hev1": "hevc", "h265": "hevc", "vp09": "vp90"}
PACKET_SHARE = 1.3  # of a frame's bytes that a packet may have: H.264 without loss grows where there is noise
MAX_PACKET_BYTES = 12_000_000  # in a codec that keeps many frames: with a higher bound these could grow by more
BITS = 8  # of a sample, in one byte
OTHER_BYTES = 4.0  # of a pixel in a block of another codec, as for a sample in JPEG 2000
DEEP_RGB = {48: 6.0, 64: 8.0, 36: 6.0}  # bytes of a pixel by its bits, which begin or end the name of the format
FORMATS = {  # bytes per pixel by FFmpeg's name of the format of pixels
    b"Y800": 1.0, b"I420": 1.5, b"YV12": 1.5, b"NV12": 1.5, b"Y42B": 2.0, b"422P": 2.0, b"YUY2": 2.0, b"UYVY": 2.0,
    b"444P": 3.0, b"RGB\x18": 3.0, b"BGR\x18": 3.0,
}  # fmt: skip
WIDEST = 4.0  # of other formats with 8 bits
CHROMA = {11: 1, 10: 2, 0: 3}  # format of chroma, by how often width and height are halved


def decoder_threads() -> int:
    """How many threads a video's decoder may use."""
    return min(MAX_THREADS, os.cpu_count() or 1)


def fitting_threads(capture: cv2.VideoCapture, most: int) -> int:
    """How many threads, at most `most`, may decode an opened video within MAX_DECODING_BYTES; 0 if none may."""
    threads = most
    while threads and decoder_bytes(capture, threads) > MAX_DECODING_BYTES.value:
        threads -= 1
    return threads


def decoder_bytes(capture: cv2.VideoCapture, threads: int | None = None) -> int:
    """Bytes of memory that an opened video's decoder takes for its frames; threads: None for those that it has."""
    if not capture.isOpened():
        return 0
    count = threads or max(1, int(capture.get(cv2.CAP_PROP_N_THREADS)))
    kept = _kept(capture)
    frames = kept.frames + 1 + FRAMES_PER_THREAD * (count - 1)
    return round(frames * kept.pixel_bytes * pixels_of(capture))


def decoder_fault(capture: cv2.VideoCapture) -> str:
    """Why an opened video's decoder takes too much memory, by its headers; "" if it does not."""
    if fitting_threads(capture, 1):
        return ""
    needed, limit = decoder_bytes(capture, 1), MAX_DECODING_BYTES
    return f"its decoder's frames take {needed / 1e6:,.0f} MB, more than {limit.value / 1e6:,.0f}: set {limit.variable}"


def block_bytes(capture: cv2.VideoCapture) -> float:
    """Bytes of the largest block that an opened video's decoder allocates after its first frame."""
    code, pixels = _code(capture, cv2.CAP_PROP_CODEC_PIXEL_FORMAT), pixels_of(capture)
    name = fourcc_of(capture).lower()
    packet = PACKET_SHARE * bytes_of_pixel(code) * pixels
    if NAMES.get(name, name) not in REFERENCES:
        return max(packet, OTHER_BYTES * pixels)
    sample_bytes = 2 if code[:1] in (b"Y", b"G") and BITS < code[3] <= 2 * BITS else 1
    return max(sample_bytes * pixels, min(packet, MAX_PACKET_BYTES))


def fourcc_of(capture: cv2.VideoCapture) -> str:
    """The four-letter code of the delivered format, such as MJPG; "" if the backend does not name one."""
    return _code(capture, cv2.CAP_PROP_FOURCC).decode("ascii", "replace").strip("\0 ")


def pixels_of(capture: cv2.VideoCapture) -> int:
    """Pixels of a frame, as announced."""
    return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)) * int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))


def _kept(capture: cv2.VideoCapture) -> Kept:
    name = fourcc_of(capture).lower()
    codec = NAMES.get(name, name)
    index = int(capture.get(cv2.CAP_PROP_CODEC_EXTRADATA_INDEX))
    if codec in ("h264", "hevc") and index > 0:
        found, parameters = capture.retrieve(flag=index)
        kept = kept_frames(codec, bytes(parameters.data)) if found and parameters is not None else None
        if kept is not None:
            return kept
    return Kept(REFERENCES.get(codec, FEW_REFERENCES), bytes_of_pixel(_code(capture, cv2.CAP_PROP_CODEC_PIXEL_FORMAT)))


def bytes_of_pixel(code: bytes) -> float:
    """Bytes of a pixel in all planes, by the four-letter code of the format of pixels.

    >>> bytes_of_pixel(b"I420"), bytes_of_pixel(b"Y3\\x0b\\x0a"), bytes_of_pixel(b"G3\\x00\\x10")
    (1.5, 3.0, 6.0)
    """
    planes, depth = code[1:2], code[3]
    if code[:1] in (b"Y", b"G") and planes in (b"1", b"2", b"3", b"4") and depth <= 16:
        count = int(planes)
        samples = float(count) if count < 3 else SAMPLES[CHROMA.get(code[2], 3)] + (count == 4)
        return samples * (1 if depth <= 8 else 2)
    return FORMATS.get(code) or DEEP_RGB.get(depth) or DEEP_RGB.get(code[0], WIDEST)


def _code(capture: cv2.VideoCapture, name: int) -> bytes:
    return (int(capture.get(name)) & 0xFFFFFFFF).to_bytes(4, "little")
