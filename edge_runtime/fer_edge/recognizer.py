"""The Python API: faces and emotions of a picture, or of a stream."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from fer_edge.channel import Channel
from fer_edge.detectors import DEFAULT_MIN_FACE_PX, open_detector
from fer_edge.framing import Image, to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import Face, FrameResult
from fer_edge.sources import IterableSource, open_source
from fer_edge.sources.iterable import check_image
from fer_edge.tracking.labels import to_face


class EmotionRecognizer:
    """Finds faces and names their emotions.

    model: an ONNX file from fer-export; the shipped one if None.
    detector: "luma", "yunet" or "haar" (OpenCV 4 only); None takes yunet if `detector_model` is given, else luma.
    detector_model: the detector's file, which yunet needs.
    threads: CPU threads of one inference. min_face_px: smaller faces (by the side of their
    FER2013 square) are not looked for. min_score: what the detector must score at least.

    Raises FerError if a file can't be used, ValueError for an unknown detector and for numbers below 1 or 0.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        detector: str | None = None,
        *,
        detector_model: str | Path | None = None,
        threads: int = 1,
        min_face_px: int = DEFAULT_MIN_FACE_PX,
        min_score: float = 0.0,
    ) -> None:
        if threads < 1 or min_face_px < 1 or min_score < 0:
            raise ValueError(
                f"threads={threads}, min_face_px={min_face_px}: at least 1; min_score={min_score}: at least 0"
            )
        if model is None:
            from fer_models import default_model

            model = default_model()
        name = detector or ("yunet" if detector_model else "luma")
        file = Path(detector_model) if detector_model else None
        self._detector = open_detector(name, file, min_face_px, threads=threads, min_score=min_score)
        self._classifier = Classifier(Path(model), threads)

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions this model tells apart."""
        return self._classifier.labels

    def recognize(self, image_bgr: Image) -> list[Face]:
        """The faces of one picture, uint8 BGR [H, W, 3] or grey [H, W], in the detector's order.

        TypeError or ValueError if the array is no such picture.
        """
        image = check_image(image_bgr)
        gray = to_gray(image)  # as in the pipeline, so that a picture and a stream give the same numbers
        detections = self._detector.detect(image if self._detector.needs_color else gray)
        squares = [self._detector.framing.square(detection.box) for detection in detections]
        rows = self._classifier.classify(gray if self._classifier.contract.color == "grey" else image, squares)
        return [
            to_face(detection.box, detection.score, row, self.labels, image)
            for detection, row in zip(detections, rows, strict=True)
        ]

    def stream(self, source: str | int | Path | Iterable[Image], *, fps: float | None = None) -> Iterator[FrameResult]:
        """Results of a source as they come: a camera number, file, folder, URL, `demo:`, or an iterable of pictures.

        Pictures of an iterable are taken for a video: faces are followed and labels smoothed from one to the next, by
        the clock, or by `fps` pictures a second if they don't come as they were taken. Pictures that have nothing to
        do with each other are for `recognize`.

        Capture, detection and classification run in threads of their own. Of a live source, frames that
        come while the caller is busy are dropped. Ends with the source; SourceError if it can't be opened
        or is lost; ValueError if `fps` is not above 0, or given for another source. Leaving the loop early stops the
        threads.
        """
        named = isinstance(source, str | int | Path)
        if fps is not None and (named or not fps > 0):
            raise ValueError(
                f"fps={fps}: above 0, and for an iterable of pictures; other sources have times of their own"
            )
        opened = open_source(source) if isinstance(source, str | int | Path) else IterableSource(source, fps)
        results: Channel[FrameResult] = Channel(1, drop_oldest=False)

        def publish(_frame: Frame, result: FrameResult) -> None:
            results.put(result)

        pipeline = Pipeline(opened, self._detector, self._classifier, publish)
        try:
            pipeline.start()
            while True:
                try:
                    yield results.get(timeout_s=0.1)
                except TimeoutError:
                    if pipeline.wait(0) and not len(results):
                        break
        finally:
            pipeline.stop("closed")
            results.abort()
            pipeline.release()
        if pipeline.error is not None:
            raise pipeline.error
