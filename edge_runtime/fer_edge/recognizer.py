"""The Python API: faces and emotions in an image or a stream."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from fer_edge.channel import Channel
from fer_edge.detectors import DEFAULT_MIN_FACE_PX, default_detector, open_detector
from fer_edge.framing import Image, to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import Face, FrameResult
from fer_edge.sources import IterableSource, open_source
from fer_edge.sources.iterable import check_image
from fer_edge.tracking.labels import to_face


class EmotionRecognizer:
    """Detects faces and classifies their emotions.

    model: an ONNX file from fer-export; None: the shipped one.
    detector: "luma", "yunet" or "haar" (OpenCV 4 only); None: yunet if `detector_model` is given, else luma.
    detector_model: the detector's file; yunet needs one.
    threads: CPU threads per inference.
    min_face_px: smaller faces are ignored; the side of the square that is classified, in pixels.
    min_score: faces with a lower detector score are ignored.

    Raises FerError if a file can't be used, and ValueError for an unknown detector or a number out of range.

    >>> from fer_edge import EmotionRecognizer
    >>> from fer_edge.demo.scene import draw_scene
    >>> image_bgr = draw_scene(0.5, (320, 240))  # a drawn face, uint8 [240, 320, 3]; usually cv2.imread(...)
    >>> [face.emotion for face in EmotionRecognizer().recognize(image_bgr)]
    ['neutral']
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
                f"threads={threads} and min_face_px={min_face_px} must be at least 1, min_score={min_score} at least 0"
            )
        if model is None:
            from fer_models import default_model

            model = default_model()
        file = Path(detector_model) if detector_model else None
        self._detector = open_detector(
            detector or default_detector(file), file, min_face_px=min_face_px, min_score=min_score, threads=threads
        )
        self._classifier = Classifier(Path(model), threads)

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions that the model distinguishes, in the order of `Face.probabilities`."""
        return self._classifier.labels

    def recognize(self, image_bgr: Image) -> list[Face]:
        """The faces of one image, uint8 BGR [H, W, 3] or gray [H, W], in the detector's order.

        Raises TypeError or ValueError if `image_bgr` is not such an array.
        """
        image = check_image(image_bgr)
        gray = to_gray(image)  # as in the pipeline, so that an image and a stream give the same numbers
        detections = self._detector.detect(image if self._detector.needs_color else gray)
        squares = [self._detector.framing.square(detection.box) for detection in detections]
        rows = self._classifier.classify(gray if self._classifier.contract.color == "grey" else image, squares)
        return [
            to_face(detection.box, detection.score, row, self.labels, image)
            for detection, row in zip(detections, rows, strict=True)
        ]

    def stream(
        self,
        source: str | int | Path | Iterable[Image],
        *,
        fps: float | None = None,
        options: StreamOptions = StreamOptions(),
    ) -> Iterator[FrameResult]:
        """Yield the result of every frame of a camera number, file, folder, URL, `demo:`, or iterable of images.

        An iterable counts as a video: faces are tracked and labels smoothed from one image to the next. Its clock is
        the time at which the images arrive, or `fps` images per second. Use `recognize` for unrelated images.

        Capture, detection and classification run in threads. Frames of a live source that arrive while the caller is
        busy are dropped. Leaving the loop early stops the threads.

        Raises SourceError if the source can't be opened or is lost, and ValueError if `fps` is not positive or is given
        for a source that is not an iterable.

        >>> from fer_edge import EmotionRecognizer
        >>> results = EmotionRecognizer().stream("demo:320x240")
        >>> first = next(results)
        >>> (first.frame, first.t, len(first.faces))
        (0, 0.0, 1)
        """
        named = isinstance(source, str | int | Path)
        if fps is not None and (named or not fps > 0):
            raise ValueError(
                f"fps={fps}: only for an iterable of images, and above 0; other sources have their own times"
            )
        opened = (
            open_source(source, recursive=options.recursive)
            if isinstance(source, str | int | Path)
            else IterableSource(source, fps)
        )
        results: Channel[FrameResult] = Channel(1, drop_oldest=False)

        def publish(_frame: Frame, result: FrameResult) -> None:
            results.put(result)

        pipeline = Pipeline(opened, self._detector, self._classifier, publish, options=options)
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
