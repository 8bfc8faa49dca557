"""Does a detector's framing give the network what FER2013 gives it?

Every PublicTest face is enlarged and laid on a grey canvas, found again by each detector, cut out by
its framing and classified. The accuracy should be that of the untouched face; and the square
should be the picture's place on the canvas.

    python benchmarks/framing.py --data fer2013.csv --yunet face_detection_yunet_2023mar.onnx
"""

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from fer_edge.classifier import Classifier
from fer_edge.detectors import Detector, open_detector
from fer_edge.files import write_json
from fer_edge.framing import Square
from fer_edge.opencv import cv2
from fer_edge.report import machine_info
from fer_models import default_model
from fer_train.data import PUBLIC_TEST, FaceData, load_faces
from fer_train.metrics import score

FACE_PX = 192  # FER2013's 48 pixels, four times enlarged
CANVAS_PX = 320


def canvas_of(face: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The 48x48 face enlarged to FACE_PX in the middle of a canvas of its own mean grey, uint8 [320, 320]."""
    canvas = np.full((CANVAS_PX, CANVAS_PX), int(face.mean()), dtype=np.uint8)
    start = (CANVAS_PX - FACE_PX) // 2
    canvas[start : start + FACE_PX, start : start + FACE_PX] = cv2.resize(
        face, (FACE_PX, FACE_PX), interpolation=cv2.INTER_CUBIC
    )
    return canvas


def measure(detector: Detector, classifier: Classifier, faces: FaceData) -> dict[str, Any]:
    """Accuracy through `detector`, on the faces it finds, beside the accuracy of the same faces untouched."""
    found, squares, probabilities = [], [], []
    with click.progressbar(range(len(faces)), label=detector.name, file=sys.stderr) as indices:
        for index in indices:
            canvas = canvas_of(faces.images[index])
            detections = detector.detect(canvas)
            if not detections:
                continue
            largest = max(detections, key=lambda detection: detection.box[2] * detection.box[3])
            square = detector.framing.square(largest.box)
            found.append(index)
            squares.append(square)
            probabilities.append(classifier.classify(canvas, [square])[0])
    direct = classifier.predict(faces.images[found][:, None])
    labels = faces.labels[found]
    return {
        "found": len(found) / len(faces),
        "accuracy": score(np.stack(probabilities), labels, faces.classes)["accuracy"],
        "accuracy_untouched": score(direct, labels, faces.classes)["accuracy"],
        "agreement": float((np.stack(probabilities).argmax(1) == direct.argmax(1)).mean()),
        "side": quartiles([square.side / FACE_PX for square in squares]),
        "right": quartiles([(square.x - CANVAS_PX / 2) / FACE_PX for square in squares]),
        "down": quartiles([(square.y - CANVAS_PX / 2) / FACE_PX for square in squares]),
    }


def quartiles(values: list[float]) -> list[float]:
    """25th, 50th and 75th percentile."""
    return [round(float(value), 4) for value in np.percentile(values, [25, 50, 75])]


def centred(classifier: Classifier, faces: FaceData) -> float:
    """Accuracy when the square is known exactly: what enlarging and shrinking alone costs."""
    square = Square(CANVAS_PX / 2, CANVAS_PX / 2, FACE_PX)
    rows = [classifier.classify(canvas_of(face), [square])[0] for face in faces.images]
    return float(score(np.stack(rows), faces.labels, faces.classes)["accuracy"])


@click.command(help=__doc__)
@click.option("--data", type=click.Path(path_type=Path), required=True, metavar="CSV", help="fer2013.csv")
@click.option(
    "--model", type=click.Path(path_type=Path), metavar="FILE", help="Emotion network.  [default: the shipped one]"
)
@click.option(
    "--yunet",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="YuNet's ONNX file; without it yunet is left out.",
)
@click.option(
    "--luma", type=click.Path(path_type=Path), metavar="FILE", help="Our detector.  [default: the shipped one]"
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures here too."
)
def main(data: Path, model: Path | None, yunet: Path | None, luma: Path | None, json_file: Path | None) -> None:
    """Print the table."""
    classifier = Classifier(model or default_model(), threads=1)
    faces = load_faces(data).split(PUBLIC_TEST)
    detectors = [open_detector("luma", luma)]
    if yunet is not None:
        detectors.append(open_detector("yunet", yunet))
    if hasattr(cv2, "CascadeClassifier"):
        detectors.append(open_detector("haar"))
    results = {detector.name: measure(detector, classifier, faces) for detector in detectors}
    exact = centred(classifier, faces)
    click.echo(f"{classifier.path.name}, {len(faces)} PublicTest faces at {FACE_PX} px; exact square: {exact:.2%}")
    click.echo("detector   found  accuracy  untouched  agreement  side (quartiles)        right   down")
    for name, row in results.items():
        side = " ".join(f"{value:.3f}" for value in row["side"])
        click.echo(
            f"{name:9} {row['found']:6.1%}  {row['accuracy']:8.2%}  {row['accuracy_untouched']:9.2%}"
            f"  {row['agreement']:9.2%}  {side:22} {row['right'][1]:+6.3f} {row['down'][1]:+6.3f}"
        )
    if json_file is not None:
        write_json(json_file, {"exact": exact, "detectors": results, "machine": machine_info()})
        click.echo(json.dumps({"written": str(json_file)}), err=True)


if __name__ == "__main__":
    main()
