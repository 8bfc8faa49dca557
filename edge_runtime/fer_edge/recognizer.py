"""The Python API: faces and emotions in an image or a stream.

OpenCV and this package's other modules are imported where they are used. So the networks load meanwhile, and a program
that reads no stream imports nothing of streams.
"""

import math
import os
import weakref
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from fer_edge.detectors import DEFAULT_MIN_FACE_PX, default_detector
from fer_edge.guards.exit_guard import native_calls
from fer_edge.opencv import load_early
from fer_edge.pipeline.options import StreamOptions, check_number

if TYPE_CHECKING:
    from fer_edge.detectors.base import Detector
    from fer_edge.media.door import Picture
    from fer_edge.pipeline.single import Networks
    from fer_edge.pipeline.stream import ResultStream
    from fer_edge.results import Face
    from fer_edge.sources import Source
    from fer_edge.sources.convert import ImageLike


class EmotionRecognizer:
    """Detects faces and classifies their emotions. Threads may share one instance.

    model: an ONNX file from fer-export; None: the shipped one.
    detector: "luma", "yunet", "haar" (OpenCV 4 only), or your own object: see `Detector`. None: yunet if
        `detector_model` is given, else luma.
    detector_model: the detector's file; yunet needs one.
    precision: "int8" or "fp32", of the shipped model; None: int8.
    threads: CPU threads per inference.
    min_face_px: smaller faces are ignored; the side of the square that is classified, in pixels.
    min_score: faces with a lower detector score are ignored.
    detect_size_px: longer images are downscaled to this for the search; less is faster but misses small faces. None:
        1920 for separate images, 640 for videos and cameras.
    min_confidence: a face whose label is less probable is unsure, 0 to 1; None: as the model's contract says.
    head: which of the model's answers to give; None for its first one. `fer-export inspect` lists them.

    Raises FerError if a file can't be used, ValueError for an unknown detector or a number out of range, and TypeError
    for something else than a number.

    >>> from fer_edge import EmotionRecognizer
    >>> from fer_edge.demo.scene import draw_scene
    >>> image = draw_scene(0.5, (320, 240))  # a drawn face, uint8 [240, 320, 3]; usually cv2.imread(...)
    >>> recognizer = EmotionRecognizer()
    >>> [face.emotion for face in recognizer(image)]
    ['neutral']

    A `with` block, or `close`, frees the networks and ends the streams:

    >>> with EmotionRecognizer() as recognizer:
    ...     faces = recognizer(image)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        detector: "str | Detector | None" = None,
        *,
        detector_model: str | os.PathLike[str] | None = None,
        precision: str | None = None,
        threads: int = 1,
        min_face_px: int = DEFAULT_MIN_FACE_PX,
        min_score: float = 0.0,
        detect_size_px: int | None = None,
        min_confidence: float | None = None,
        head: str | None = None,
    ) -> None:
        limits = {"threads": (threads, 1), "min_face_px": (min_face_px, 1), "detect_size_px": (detect_size_px, 64)}
        for name, (value, least) in {**limits, "min_score": (min_score, 0)}.items():
            check_number(name, value, optional=name == "detect_size_px")
            if value is not None and not least <= value < math.inf:
                raise ValueError(f"{name}={value} must be at least {least}")
        check_number("min_confidence", min_confidence, optional=True)
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence={min_confidence} must be from 0 to 1")
        with native_calls():
            self._networks: Networks | None = _open_networks(
                _model_path(model, precision), detector, None if detector_model is None else Path(detector_model),
                min_face_px, min_score, detect_size_px, threads, head,
            )  # fmt: skip
        classifier = self._networks.classifier
        self._labels = classifier.labels
        self._min_confidence = classifier.min_confidence if min_confidence is None else min_confidence
        self._streams: weakref.WeakSet[ResultStream] = weakref.WeakSet()

    @classmethod
    def tuned(cls, **settings: Any) -> Self:
        """A recognizer with the precision, threads and detection size that `fer-edge tune` saved for this machine.

        settings: as for EmotionRecognizer; they override the saved ones. Without saved ones the result is the same as
        EmotionRecognizer(**settings). Also raises FerError if the saved file is not one that `tune` wrote.

        >>> recognizer = EmotionRecognizer.tuned(min_face_px=30)
        """
        from fer_edge.defaults import recognizer_settings

        saved = recognizer_settings()
        if settings.get("model") is not None:
            saved.pop("precision", None)  # of the shipped models
        return cls(**saved | settings)

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions that the model distinguishes, in the order of `Face.probabilities`."""
        return self._labels

    @overload
    def recognize(self, image: "ImageLike") -> "list[Face]": ...  # type: ignore[overload-overlap]
    @overload
    def recognize(self, image: "Iterable[ImageLike]") -> "list[list[Face]]": ...
    def recognize(self, image: "ImageLike | Iterable[ImageLike]") -> "list[Face] | list[list[Face]]":
        """The faces of one image, in the detector's order; of several images, a list of faces for each.

        `recognizer(image)` is the same as `recognizer.recognize(image)`.

        image: an array, uint8 BGR [H, W, 3] or gray [H, W]; the path of an image file; a PIL image of any mode; or a
        list or other iterable of these. Files and PIL images are turned upright by their Exif orientation.

        Raises SourceError for a file that can't be read; TypeError or ValueError for what is not an image; of an
        iterable they name the item. ValueError after `close`.
        """
        from fer_edge.sources.convert import is_image, to_picture, to_pictures

        if is_image(image) or not isinstance(image, Iterable):
            return self._faces(to_picture(image))
        return [self._faces(picture) for picture in to_pictures(image)]

    __call__ = recognize

    @overload
    def classify(self, crop: "ImageLike") -> "Face": ...  # type: ignore[overload-overlap]
    @overload
    def classify(self, crop: "Iterable[ImageLike]") -> "list[Face]": ...
    def classify(self, crop: "ImageLike | Iterable[ImageLike]") -> "Face | list[Face]":
        """The emotion of a face that is already cropped, without detection; of several crops, a list.

        crop: as the image of `recognize`. It should show the face from forehead to chin, as FER2013 does, and be about
        square; a longer crop is extended to a square by repeating its edges. The result's box is the whole crop and its
        score is 1.

        Raises as `recognize` does.

        >>> from fer_edge import EmotionRecognizer
        >>> from fer_edge.demo.scene import draw_scene
        >>> image = draw_scene(2.0, (320, 240))
        >>> recognizer = EmotionRecognizer()
        >>> left, top, right, bottom = recognizer(image)[0].xyxy
        >>> recognizer.classify(image[top:bottom, left:right]).emotion
        'happy'
        """
        from fer_edge.sources.convert import is_image, to_picture, to_pictures

        if is_image(crop) or not isinstance(crop, Iterable):
            return self._face(to_picture(crop))
        return [self._face(picture) for picture in to_pictures(crop)]

    def _faces(self, picture: "Picture") -> "list[Face]":
        with native_calls():
            faces = self._opened().faces(picture.image, self._min_confidence)
        return [face.scaled(*picture.scale) for face in faces]

    def _face(self, picture: "Picture") -> "Face":
        with native_calls():
            face = self._opened().face(picture.image, self._min_confidence)
        return face.scaled(*picture.scale)

    def stream(
        self,
        source: "str | int | os.PathLike[str] | Iterable[ImageLike]",
        *,
        fps: float | None = None,
        images: bool = True,
        options: StreamOptions = StreamOptions(),
    ) -> "ResultStream":
        """Iterate over the results of all frames of a source.

        source: a camera number, file, folder, URL, `demo:` or anything else that `fer-edge` reads; or an iterable of
        images, each as for `recognize`.

        An iterable counts as a video: faces are tracked and labels smoothed from one image to the next. Its clock is
        the time at which the images arrive, or `fps` images per second. Use `recognize` for unrelated images.

        images: False drops the frames, so that results that are kept take little memory; `FrameResult.image` is None.

        Capture, detection and classification run in threads. Frames of a live source that arrive while the caller is
        busy are dropped. Leaving the loop early, a `with` block and `close` stop the threads.

        Raises SourceError at once if the source can't be opened, and later if it is lost. Raises ValueError if `fps` is
        not positive or is given for a source that is not an iterable, and after `close`.

        >>> from fer_edge import EmotionRecognizer, StreamOptions
        >>> recognizer = EmotionRecognizer()
        >>> with recognizer.stream("demo:320x240", options=StreamOptions(mirror=True)) as results:
        ...     first = next(results)
        >>> first.frame, first.t, len(first), first.image.shape
        (0, 0.0, 1, (240, 320, 3))
        """
        from fer_edge.pipeline.stream import ResultStream

        networks = self._opened()
        if options.min_confidence is None:
            options = replace(options, min_confidence=self._min_confidence)
        with native_calls():
            opened = _open(source, fps, options)
        try:
            stream = ResultStream(opened, *networks, options, images)
        except BaseException:
            opened.close()
            raise
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End the streams and free the networks. The recognizer can't be used any more; may be called again."""
        for stream in list(self._streams):
            stream.close()
        self._networks = None

    def _opened(self) -> "Networks":
        if self._networks is None:
            raise ValueError("the recognizer is closed: make another one, or use it inside its `with` block")
        return self._networks

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _model_path(model: str | os.PathLike[str] | None, precision: str | None) -> Path:
    from fer_models import default_model, model_path

    if model is not None and precision is not None:
        raise ValueError(f"precision={precision!r} chooses a shipped model: leave out precision or model")
    if model is not None:
        return Path(model)
    return default_model() if precision is None else model_path(precision)


def _open_networks(
    model: Path, detector: "str | Detector | None", detector_model: Path | None,
    min_face_px: int, min_score: float, detect_size_px: int | None, threads: int, head: str | None,
) -> "Networks":  # fmt: skip
    from fer_edge.pipeline.preload import forget_preloaded, preload_networks

    name = default_detector(detector_model) if detector is None else detector
    load_early()
    try:
        preload_networks(model, name if isinstance(name, str) else None, detector_model, threads)
        from fer_edge.network.classifier import Classifier
        from fer_edge.pipeline.single import Networks, detector_of

        opened = detector_of(name, detector_model, min_face_px, min_score, detect_size_px, threads)
        return Networks(opened, Classifier(model, threads, head))
    except BaseException:
        forget_preloaded()
        raise


def _open(
    source: "str | int | os.PathLike[str] | Iterable[ImageLike]", fps: float | None, options: StreamOptions
) -> "Source":
    from fer_edge.sources import IterableSource, open_source
    from fer_edge.sources.reconnect import ReconnectPolicy

    if fps is not None and (isinstance(source, str | int | os.PathLike) or not fps > 0):
        raise ValueError(f"fps={fps}: only for an iterable of images, and above 0; other sources have their own times")
    if not isinstance(source, str | int | os.PathLike):
        return IterableSource(source, fps)
    policy = ReconnectPolicy(give_up_s=options.give_up_s)
    return open_source(str(source), options.camera_size, policy, recursive=options.recursive)
