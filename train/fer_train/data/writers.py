"""Write labeled faces as a CSV or as folders of PNGs."""

import gzip
import lzma
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TextIO, cast

import numpy as np
from tqdm import tqdm

from fer_edge.console import hold_output
from fer_edge.errors import DataError, OutputError
from fer_edge.files import atomic_write, check_writable
from fer_edge.opencv import cv2
from fer_train.data import FER2013_CLASSES, PRIVATE_TEST, PUBLIC_TEST, TRAINING, FaceData
from fer_train.data.folders import split_of

IMAGE_NAME = "fer{:07}.png"  # FER+'s names for FER2013's images


def check_target(out: Path, overwrite: bool) -> None:
    """Raise OutputError if `out`, a CSV or a folder, can't be written or exists already."""
    if is_csv(out):
        check_writable(out, overwrite)
    elif out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError(f"{out} exists and is not an empty folder: name a new one")
    elif not out.absolute().parent.is_dir():
        raise OutputError(f"{out.parent} is not a folder, so {out.name} can't be made there: create it first")
    hold_output(out)


def write_csv(data: FaceData, path: Path) -> None:
    """Write `data` in the format of fer2013.csv, atomically; compressed if the name ends in .gz or .xz.

    FER2013's seven classes become numbers, other classes stay names. Data without splits gets no Usage column.
    """
    if bad := [name for name in data.classes if set(name) & set(',"\r\n')]:
        raise DataError(f"the class {bad[0]!r} of {data.path} can't be written to a CSV: rename it")
    numbered = set(data.classes) == set(FER2013_CLASSES)
    emotions = [str(FER2013_CLASSES.index(name)) if numbered else name for name in data.classes]
    has_splits = bool(data.usage.any())
    with atomic_write(path) as part, _text(part) as file:
        file.write(f"emotion,pixels{',Usage' * has_splits}\n")
        for row in tqdm(_in_order(data), desc=f"Writing {path.name}", unit=" rows", leave=False, disable=None):
            pixels = " ".join(map(str, data.images[row].ravel().tolist()))
            usage = f",{data.usage[row]}" * has_splits
            file.write(f"{emotions[data.labels[row]]},{pixels}{usage}\n")


def write_folders(data: FaceData, path: Path) -> None:
    """Write `data` as PNGs to the new folder `path`, which appears when all of it is written."""
    folders = {usage: _split_folder(usage, data) for usage in np.unique(data.usage).tolist()}
    for name in data.classes:
        if "/" in name or name.startswith(".") or ("" in folders and split_of(name)):
            raise DataError(f"the class {name!r} of {data.path} can't be a folder name: rename it")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent) as temporary:
            root = Path(temporary) / "faces"
            for folder in folders.values():
                for name in data.classes:  # also classes without a face, so that none is lost
                    (root / folder / name).mkdir(parents=True)
            _write_images(data, {usage: root / folder for usage, folder in folders.items()}, path.name)
            if path.is_dir():
                path.rmdir()  # check_target has refused a folder that is not empty
            shutil.move(root, path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error


def _split_folder(usage: str, data: FaceData) -> str:
    """Return the folder name that load_faces reads as the same split; "" where there are no splits."""
    # without validation/, a folder test/ would be read as PublicTest
    private = "test" if PUBLIC_TEST in data.usage else PRIVATE_TEST
    return {"": "", TRAINING: "train", PUBLIC_TEST: "validation", PRIVATE_TEST: private}[usage]


def _write_images(data: FaceData, folders: dict[str, Path], title: str) -> None:
    jobs = zip(_numbers(data), data.images, data.labels.tolist(), data.usage.tolist(), strict=True)
    for number, image, label, usage in tqdm(
        jobs, total=len(data), desc=f"Writing {title}", unit=" images", leave=False, disable=None
    ):
        content = cv2.imencode(".png", image)[1].tobytes()
        (folders[usage] / data.classes[label] / IMAGE_NAME.format(number)).write_bytes(content)


def _numbers(data: FaceData) -> list[int]:
    """Return each face's position in its source, from 0."""
    if data.names is None or not _from_table(data):
        return list(range(len(data)))
    return [int(name.split()[1]) - 1 for name in data.names.tolist()]


def _in_order(data: FaceData) -> list[int]:
    """Return the order to write: as in the table, or by file name if no two images have the same one."""
    if data.names is None or _from_table(data):
        return list(range(len(data)))
    names = [PurePosixPath(name).name for name in data.names.tolist()]
    rows = range(len(data))
    return sorted(rows, key=names.__getitem__) if len(set(names)) == len(names) else list(rows)


def _from_table(data: FaceData) -> bool:
    return data.names is not None and all(name.startswith("row ") for name in data.names[:1].tolist())


def _text(path: Path) -> TextIO:
    if path.suffix.casefold() == ".gz":
        return cast(TextIO, gzip.open(path, "wt", encoding="utf-8"))
    if path.suffix.casefold() == ".xz":
        return lzma.open(path, "wt", encoding="utf-8")
    return path.open("w", encoding="utf-8")


def is_csv(path: Path) -> bool:
    """Whether the name is that of a CSV file, maybe compressed."""
    return path.name.casefold().endswith((".csv", ".csv.gz", ".csv.xz"))
