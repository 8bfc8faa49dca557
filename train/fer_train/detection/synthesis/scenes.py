"""Compose scenes with faces whose places are known: photos pasted over one another, with soft edges.

A scene is uint8 [SCENE_PX, SCENE_PX], gray. Its faces are float32 [faces, 5]: x, y, width, height in pixels of the
scene, and its certainty (up to 1), or IGNORED for one that is neither face nor background, such as a half-hidden one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.demo.scene import CYCLE_S, draw_scene, face_box_at
from fer_edge.framing import to_gray
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.clutter import draw_clutter
from fer_train.detection.synthesis.textures import draw_texture
from fer_train.detection.synthesis.tiles import TILE_PX, FaceTiles

SCENE_PX = 320
MIN_FACE_PX = 10.0  # height; lower faces are ignored
MAX_FACES = 256
IGNORED = -1.0
MIN_VISIBLE, MIN_PART_VISIBLE = 0.7, 0.3  # below the first a face is ignored, below the second dropped
MIN_INSIDE, MIN_PART_INSIDE = 0.55, 0.1  # likewise, of faces that the scene's edge cuts
BORDER_GRAY = 8  # LFW's deep funneling leaves black borders; JPEG makes them this bright
KIND_SHARES = (0.26, 0.42, 0.12, 0.17, 0.03)  # of photos, crowds, close-ups, background, the demo's person
# The face in a FER2013 image as YuNet sees it (benchmarks/accuracy/framing.py): x, y, width, height in shares
FER_FACE = (0.505 - 0.41, 0.512 - 0.53, 0.82, 1.06)

Pixels = npt.NDArray[np.uint8]
Faces = npt.NDArray[np.float32]
Mask = npt.NDArray[np.float32]
NO_FACES: Faces = np.empty((0, 5), np.float32)


@dataclass(frozen=True)
class Layer:
    """An image to be pasted: pixels, alpha (float32, 0 to 1), and its faces."""

    pixels: Pixels
    alpha: Mask
    faces: Faces


class SceneMaker:
    """Makes scenes of tiles, FER2013 faces (if any) and clutter; the same `seed` gives the same scenes."""

    def __init__(self, tiles: FaceTiles, fer_faces: Pixels | None, seed: int) -> None:
        self._tiles, self._fer, self._rng = tiles, fer_faces, np.random.default_rng(seed)
        self._cumulated = np.cumsum(tiles.weights)[:-1]

    def make(self) -> tuple[Pixels, Faces]:
        """A scene and its faces."""
        kinds = (self._make_photos, self._make_crowd, self._make_close_up, self._make_background, self._make_demo)
        kind = int(self._rng.choice(len(kinds), p=KIND_SHARES))
        scene, faces = kinds[kind]()
        if kind < 3 and self._rng.random() < 0.25:
            draw_clutter(self._rng, scene, int(self._rng.integers(1, 4)))
            faces[:, 4] = IGNORED  # clutter may hide a face: the teacher decides
        return degraded(self._rng, scene), _kept(faces)

    def _make_photos(self) -> tuple[Pixels, Faces]:
        """Some people, near and far: one photo behind, others in front."""
        scene, faces = self._make_clutter(), NO_FACES
        if self._rng.random() < 0.6:
            faces = self._paste_photo(scene, faces, self._rng.uniform(200, 520), soft=0.1)
        for side in np.sort(self._log_uniform(36, 230, int(self._rng.integers(1, 9)))):
            faces = self._paste_photo(scene, faces, float(side))
        return scene, faces

    def _make_crowd(self) -> tuple[Pixels, Faces]:
        """People in rows: nearer ones are larger and lower, their shoulders before those behind."""
        rng, scene, faces = self._rng, self._make_clutter(), NO_FACES
        height = float(self._log_uniform(12, 64)[0])  # of a face in the middle of the scene
        growth, spacing, focus = rng.uniform(0, 1), rng.uniform(0.75, 1.8), rng.uniform(-0.3, 1.3)
        y = float(rng.uniform(-0.1, 0.4) * SCENE_PX)
        while y < SCENE_PX + height:
            face = height * (1 + growth * (y / SCENE_PX - 0.5))
            blur = face * 0.12 * max(0.0, abs(y / SCENE_PX - focus) - 0.4)
            x = float(rng.uniform(-0.5, 0.5) * face)
            while x < SCENE_PX:
                if rng.random() < 0.85:
                    at = (x + float(rng.normal(0, 0.15)) * face, y + float(rng.normal(0, 0.25)) * face)
                    faces = _paste(scene, faces, self._person(face * float(rng.uniform(0.85, 1.2)), blur), at)
                x += face * 0.8 * spacing
            y += face * float(rng.uniform(0.5, 1.5)) * spacing
        return scene, faces

    def _make_close_up(self) -> tuple[Pixels, Faces]:
        """One large face, of a photo or of FER2013."""
        scene, at = self._make_clutter(), tuple(self._rng.normal(SCENE_PX / 2, SCENE_PX / 7, 2))
        if self._fer is not None and self._rng.random() < 0.3:
            return scene, _paste(scene, NO_FACES, self._fer_layer(float(self._log_uniform(60, 360)[0])), at)
        return scene, self._paste_photo(scene, NO_FACES, self._rng.uniform(260, 800), soft=0.15, at=at)

    def _make_background(self) -> tuple[Pixels, Faces]:
        """Clutter and pieces of photos without faces."""
        scene = self._make_clutter()
        draw_clutter(self._rng, scene, int(self._rng.integers(0, 12)))
        for side in self._log_uniform(16, 200, int(self._rng.integers(0, 40))):
            self._paste_piece(scene, float(side))
        return scene, NO_FACES

    def _make_demo(self) -> tuple[Pixels, Faces]:
        """The drawn person of `demo:`, at a random scale."""
        moment, size = float(self._rng.uniform(0, CYCLE_S)), (640, 480)
        scale = float(self._rng.uniform(0.35, 1.2))
        box = np.array(face_box_at(moment, size))
        low = box[:2] + box[2:] / 2 - SCENE_PX / 2 / scale + self._rng.normal(0, 40, 2) / scale
        to_scene = np.array([[scale, 0, -low[0] * scale], [0, scale, -low[1] * scale]])
        frame, shape = to_gray(draw_scene(moment, size)), (SCENE_PX, SCENE_PX)
        scene = cv2.warpAffine(frame, to_scene, shape, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        face = [*(box[:2] - low) * scale, *box[2:] * scale, 1]
        return np.asarray(scene, dtype=np.uint8), np.array([face], np.float32)

    def _make_clutter(self) -> Pixels:
        """A texture, maybe with clutter and pieces of photos: what is behind the faces."""
        scene = draw_texture(self._rng, SCENE_PX)
        if self._rng.random() < 0.3:
            draw_clutter(self._rng, scene, int(self._rng.integers(1, 6)))
        if self._rng.random() < 0.75:
            sides = self._log_uniform(60, 300, int(self._rng.integers(0, 14)))
            for side in (700.0, *np.sort(sides)[::-1]):  # the smallest, sharpest pieces last
                self._paste_piece(scene, float(side))
        return scene

    def _log_uniform(self, low: float, high: float, count: int = 1) -> npt.NDArray[np.float64]:
        return np.exp(self._rng.uniform(np.log(low), np.log(high), count))

    def _random_tile(self) -> tuple[Pixels, Faces]:
        tile = int(np.searchsorted(self._cumulated, self._rng.random()))
        return self._tiles.images[tile], self._tiles.boxes[tile]

    def _paste_photo(
        self, scene: Pixels, faces: Faces, side: float, soft: float | None = None, at: tuple[float, ...] | None = None
    ) -> Faces:
        """Paste a photo `side` pixels wide into `scene`, in place; returns all faces of the scene."""
        place = tuple(self._rng.uniform(0, SCENE_PX, 2)) if at is None else at
        return _paste(scene, faces, self._photo(*self._random_tile(), side, soft), place)

    def _paste_piece(self, scene: Pixels, side: float) -> None:
        _paste(scene, NO_FACES, self._piece(side), tuple(self._rng.uniform(0, SCENE_PX, 2)))

    def _photo(self, image: Pixels, faces: Faces, side: float, soft: float | None) -> Layer:
        """A tile resized to `side`, with an edge that fades over the share `soft`; if None, some show only a head."""
        rng, alpha = self._rng, _photo_mask(image)
        if soft is None and len(faces) and rng.random() < 0.4:
            head = _ovals(faces, [(0.5, rng.uniform(0.8, 1.3), rng.uniform(0.75, 1.1))])
            alpha = alpha * cv2.GaussianBlur(head, (0, 0), float(rng.uniform(0.8, 5)))
        else:
            alpha = alpha * _soft_edge(rng.uniform(0.01, 0.2) if soft is None else soft)
        if rng.random() < 0.3:
            image = _masked(rng, image, faces)
        return self._warped(image, alpha, faces, side)

    def _person(self, height: float, blur: float) -> Layer:
        """Head and shoulders from a tile, the face `height` pixels high, blurred by that standard deviation."""
        rng, (image, faces) = self._rng, self._random_tile()
        if not len(faces):
            return self._photo(image, faces, height * 2, None)
        head = (0.42, rng.uniform(0.62, 0.8), rng.uniform(0.66, 0.85))
        shoulders = (2.0, rng.uniform(1.2, 1.9), rng.uniform(0.9, 1.15))
        alpha = _ovals(faces, [head, shoulders])
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), float(rng.uniform(0.6, 3))) * _photo_mask(image))
        if rng.random() < 0.15:
            image = _masked(rng, image, faces)
        layer = self._warped(image, alpha, faces, height * TILE_PX / float(faces[np.argmax(faces[:, 4]), 3]))
        if blur < 0.3:
            return layer
        pixels, soft = (cv2.GaussianBlur(values, (0, 0), blur) for values in (layer.pixels, layer.alpha))
        return Layer(np.asarray(pixels, np.uint8), np.asarray(soft, np.float32), layer.faces)

    def _fer_layer(self, side: float) -> Layer:
        assert self._fer is not None
        face = cv2.resize(self._fer[self._rng.integers(len(self._fer))], (TILE_PX, TILE_PX))
        box = np.array([[*(share * TILE_PX for share in FER_FACE), 1]], np.float32)
        return self._warped(np.asarray(face, np.uint8), _soft_edge(self._rng.uniform(0.01, 0.1)), box, side)

    def _piece(self, side: float) -> Layer:
        """A part of a photo in which no face was found, enlarged to `side`; some are round, like a hand or a knee."""
        rng = self._rng
        for _ in range(20):
            tile, part = int(rng.integers(len(self._tiles))), int(rng.integers(18, 64))
            low = rng.integers(0, TILE_PX - part, 2)
            boxes = self._tiles.boxes[tile]
            apart = (boxes[:, :2] > low + part) | (boxes[:, :2] + boxes[:, 2:4] < low)
            crop = self._tiles.images[tile][low[1] : low[1] + part, low[0] : low[0] + part]
            if apart.any(axis=1).all() and (crop > BORDER_GRAY).mean() > 0.9:
                break
        else:
            crop = draw_texture(rng, 32)
        pixels = cv2.resize(crop, (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC)
        edge = _soft_edge(rng.uniform(0.01, 0.3))
        if rng.random() < 0.4:
            edge = np.zeros_like(edge)
            axes = (int(TILE_PX * rng.uniform(0.25, 0.45)), int(TILE_PX * rng.uniform(0.35, 0.49)))
            cv2.ellipse(edge, (TILE_PX // 2, TILE_PX // 2), axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
        return self._warped(np.asarray(pixels, dtype=np.uint8), edge, NO_FACES, side)

    def _warped(self, image: Pixels, alpha: Mask, faces: Faces, side: float) -> Layer:
        """A tile with its alpha and faces, turned up to 30 degrees, mirrored, stretched and relit at random."""
        rng, scale = self._rng, side / TILE_PX
        turn = np.radians(np.clip(rng.normal(0, 11), -30, 30))
        narrow = rng.uniform(0.6, 0.9) if rng.random() < 0.25 else 1.0  # as turned heads are
        scale_x = scale * narrow * rng.uniform(0.88, 1.12) * (1 if rng.random() < 0.5 else -1)
        cos, sin = np.cos(turn), np.sin(turn)
        matrix = np.array([[cos * scale_x, -sin * scale], [sin * scale_x, cos * scale]])
        out = int(np.ceil(side * (abs(cos) + abs(sin)) * 1.06))
        to_layer = np.column_stack([matrix, out / 2 - matrix @ [TILE_PX / 2, TILE_PX / 2]])
        if scale < 0.7:  # warping alone would alias
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.45 / scale), np.uint8)
        pixels = cv2.warpAffine(image, to_layer, (out, out), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        warped_alpha = cv2.warpAffine(alpha, to_layer, (out, out), flags=cv2.INTER_LINEAR)
        centers = (faces[:, :2] + faces[:, 2:4] / 2) @ matrix.T + to_layer[:, 2]
        sides = faces[:, 2:4] * (abs(scale_x), scale)
        moved = np.hstack([centers - sides / 2, sides, np.ones((len(faces), 1))]).astype(np.float32)
        return Layer(relit(rng, np.asarray(pixels, np.uint8)), np.asarray(warped_alpha, np.float32), moved)


def _paste(scene: Pixels, faces: Faces, layer: Layer, at: tuple[float, ...]) -> Faces:
    """Paste `layer` into `scene`, in place, its center at `at`; returns all faces, the hidden ones flagged."""
    size = layer.pixels.shape[0]
    left, top = round(at[0] - size / 2), round(at[1] - size / 2)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + size, SCENE_PX), min(top + size, SCENE_PX)
    if x1 <= x0 or y1 <= y0:
        return faces
    cut = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    part, alpha = scene[y0:y1, x0:x1], layer.alpha[cut]
    part[:] = (part + (layer.pixels[cut].astype(np.float32) - part) * alpha).astype(np.uint8)
    old, new = faces.copy(), layer.faces.copy()
    for face in old:
        _flag(face, 1 - float(alpha[_span(face, (x0, y0))].sum()) / max(face[2] * face[3], 1.0))
    for face in new:
        shown = layer.alpha[_span(face, (0, 0))]
        _flag(face, float(shown.mean()) if shown.size else 0.0)
    new[:, :2] += (left, top)
    return np.concatenate([old[old[:, 4] != 0], new[new[:, 4] != 0]])


def _span(face: npt.NDArray[np.float32], origin: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a face in an array whose corner is at `origin`."""
    (x0, y0), (x, y, width, height) = origin, face[:4].tolist()
    columns = slice(max(int(x) - x0, 0), max(int(x + width) - x0, 0))
    return slice(max(int(y) - y0, 0), max(int(y + height) - y0, 0)), columns


def _flag(face: npt.NDArray[np.float32], visible: float) -> None:
    """Ignore or drop `face`, in place, if only the share `visible` of it is left."""
    if visible < MIN_PART_VISIBLE:
        face[4] = 0
    elif visible < MIN_VISIBLE:
        face[4] = IGNORED


def _kept(faces: Faces) -> Faces:
    """The faces inside the scene, certain ones first; small ones and those that the edge cuts are ignored."""
    low, sides = faces[:, :2], faces[:, 2:4]
    inside = np.clip(np.minimum(low + sides, SCENE_PX) - np.maximum(low, 0), 0, None).prod(axis=1)
    share, height = inside / sides.prod(axis=1), sides[:, 1]
    faces = faces.copy()
    faces[(share < MIN_INSIDE) | (height < MIN_FACE_PX), 4] = IGNORED
    faces = faces[(share > MIN_PART_INSIDE) & (height > MIN_FACE_PX / 2)]
    return faces[np.argsort(-faces[:, 4], kind="stable")][:MAX_FACES]


def _photo_mask(image: Pixels) -> Mask:
    """1 where a tile shows its photo, 0 in the black border of deep funneling, float32 [128, 128]."""
    dark = (image <= BORDER_GRAY).astype(np.uint8)
    if not (dark[[0, -1]].any() or dark[:, [0, -1]].any()):
        return np.ones((TILE_PX, TILE_PX), np.float32)
    padded = np.ones((TILE_PX + 2, TILE_PX + 2), np.uint8)  # a black frame joins all that touches the edge
    padded[1:-1, 1:-1] = dark
    outside = (cv2.floodFill(padded, None, (0, 0), 2)[1] == 2).astype(np.uint8)
    outside = cv2.dilate(outside, np.ones((5, 5), np.uint8))[1:-1, 1:-1]
    return np.asarray(cv2.GaussianBlur(1 - outside.astype(np.float32), (0, 0), 1.0), dtype=np.float32)


def _soft_edge(share: float) -> Mask:
    """1 inside, falling to 0 over the outer `share` of a tile, float32 [128, 128]."""
    distance = np.minimum(np.arange(TILE_PX) + 0.5, TILE_PX - 0.5 - np.arange(TILE_PX))
    ramp = np.clip(distance / (share * TILE_PX), 0, 1).astype(np.float32)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.outer(ramp, ramp)


def _ovals(faces: Faces, ovals: list[tuple[float, float, float]]) -> Mask:
    """1 in ovals around the face with the highest score, float32 [128, 128].

    ovals: the center's height in heights of the face from its top, then half the sides in sides of the face.
    """
    x, y, width, height = faces[np.argmax(faces[:, 4]), :4].tolist()
    mask = np.zeros((TILE_PX, TILE_PX), np.float32)
    for center, half_width, half_height in ovals:
        spot, axes = (
            (int(x + width / 2), int(y + height * center)),
            (int(width * half_width), int(height * half_height)),
        )
        cv2.ellipse(mask, spot, axes, 0, 0, 360, 1.0, -1)
    return mask


def _masked(rng: np.random.Generator, image: Pixels, faces: Faces) -> Pixels:
    """A copy of the tile with an oval on each face: over the mouth like a mask or a hand, or anywhere."""
    image = image.copy()
    for x, y, width, height, _ in faces.tolist():
        gray = int(rng.integers(20, 250))
        if rng.random() < 0.5:
            center, axes = (x + width / 2, y + height * 0.8), (width * 0.5, height * rng.uniform(0.2, 0.3))
        else:
            center = (x + width * rng.uniform(0, 1), y + height * rng.uniform(0, 1))
            axes = (width * rng.uniform(0.1, 0.35), height * rng.uniform(0.1, 0.35))
        spot, radii = (int(center[0]), int(center[1])), (max(1, int(axes[0])), max(1, int(axes[1])))
        cv2.ellipse(image, spot, radii, float(rng.uniform(-20, 20)), 0, 360, gray, -1, cv2.LINE_AA)
    return image


def relit(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Contrast, brightness and gamma changed a little; sometimes much darker, or lit from one side."""
    gamma = np.exp(rng.normal(0, 0.25))
    gain, offset = np.exp(rng.normal(0, 0.2)), rng.normal(0, 14)
    if rng.random() < 0.12:
        gain, offset = rng.uniform(0.15, 0.5), rng.uniform(0, 12)
    table = np.clip(((np.arange(256) / 255) ** gamma * 255 - 127) * gain + 127 * min(gain, 1) + offset, 0, 255)
    lit = table.astype(np.uint8)[pixels]
    if rng.random() < 0.1:
        left, right = rng.uniform(0.3, 1.2, 2).tolist()
        lit = np.clip(lit * np.linspace(left, right, lit.shape[1]), 0, 255).astype(np.uint8)
    return np.asarray(lit)


def degraded(rng: np.random.Generator, scene: Pixels) -> Pixels:
    """The scene as a cheap camera gives it: sometimes out of focus, blurred by motion, noisy, compressed."""
    if rng.random() < 0.25:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.5, 2.5))), dtype=np.uint8)
    if rng.random() < 0.08:
        length = int(rng.integers(3, 10))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
        scene = np.asarray(cv2.filter2D(scene, -1, kernel / kernel.sum()), dtype=np.uint8)
    if rng.random() < 0.35:
        grain = rng.standard_normal(scene.shape, dtype=np.float32) * rng.uniform(2, 14)
        scene = np.clip(scene + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        scene = np.asarray(cv2.imdecode(cv2.imencode(".jpg", scene, quality)[1], cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    return scene
