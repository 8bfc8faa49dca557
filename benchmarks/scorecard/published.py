"""Figures that others published about their recognizers, and where. Nothing here was measured by us."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A published figure: whose (a name of benchmarks.peers), what, its value, and where it was published.

    short: the value for the table of recognizers, where the figure fits a column of it; "" elsewhere.
    """

    peer: str
    what: str
    value: str
    source: str
    short: str = ""


ACCURACY, LATENCY, SIZE = "accuracy", "network time per face", "network file"

PUBLISHED = (
    Published("fer", ACCURACY, "66 % (FER2013)", "github.com/oarriaga/face_classification, README; its network"),
    Published("fer", ACCURACY, "about 71 % (FER2013)", "github.com/justinshenk/fer/issues/50, its author"),
    Published(
        "deepface", ACCURACY, "57 % (FER2013)", "github.com/serengil/tensorflow-101, README, item 17, by its author",
        short="57 %",
    ),
    Published(
        "hsemotion-onnx", ACCURACY, "61.32 % (AffectNet, 8 classes)",
        "github.com/av-savchenko/face-emotion-recognition, README, enet_b0_8_best_vgaf",
    ),
    Published(
        "hsemotion-onnx", LATENCY, "59 ± 26 ms (Snapdragon 888 phone)",
        "the same README, as of 2022, enet_b0_8_best_afew, the same network",
    ),
    Published(
        "hsemotion-onnx", SIZE, "16 MB", "the same README, as of 2022, enet_b0_8_best_afew, the same network"
    ),
    Published(
        "opencv-zoo", ACCURACY, "88.27 % (RAF-DB)",
        "github.com/opencv/opencv_zoo, models/facial_expression_recognition/README.md",
    ),
    Published(
        "opencv-zoo", LATENCY, "27.77 ms (Raspberry Pi 4B), 1.76 ms (i7-12700K), all cores",
        "github.com/opencv/opencv_zoo, benchmark/README.md, OpenCV 4.10.0, medians, fp32",
    ),
    Published(
        "opencv-zoo", SIZE, "4.8 MB", "github.com/opencv/opencv_zoo, models/facial_expression_recognition",
        short="4.8 MB",
    ),
)  # fmt: skip


def short_value(peer: str, what: str) -> str:
    """The published value of a peer for the table of recognizers, marked as such; "" if there is none."""
    return next((f"{each.short} †" for each in PUBLISHED if (each.peer, each.what) == (peer, what) and each.short), "")
