"""Compose scenes with faces whose places are known: photographs laid over one another, soft at the seams.

A scene is uint8 [SCENE_PX, SCENE_PX] grey. Its faces are float32 [faces, 5]: x, y, width, height in
pixels of the scene, and how surely it is a face, up to 1, or IGNORED for one that counts neither way, as half hidden.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_edge.demo.scene import CYCLE_S, draw_scene, face_box_at
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.clutter import draw_things
from fer_train.detection.synthesis.textures import draw_texture
from fer_train.detection.synthesis.tiles import TILE_PX, FaceTiles

SCENE_PX = 320
MIN_FACE_PX = 10.0  # high; smaller ones are ignored
MAX_FACES = 256
IGNORED = -1.0
VISIBLE, HIDDEN = 0.7, 0.3  # a face of which less is seen is ignored, or no face any more
BORDER_GRAY = 8  # the black that deep-funnelling left around some photographs, after JPEG

Pixels = npt.NDArray[np.uint8]
Faces = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """A picture to be laid into a scene: pixels, how much each covers (float32, 0 to 1), and its faces."""

    pixels: Pixels
    cover: npt.NDArray[np.float32]
    faces: Faces


class SceneMaker:
    """Makes scenes of tiles, FER2013 faces (if any) and drawn things; the same `seed` gives the same scenes."""

    def __init__(self, tiles: FaceTiles, fer_faces: Pixels | None, seed: int) -> None:
        self._tiles, self._fer, self._rng = tiles, fer_faces, np.random.default_rng(seed)
        self._cumulated = np.cumsum(tiles.weights)[:-1]

    def make(self) -> tuple[Pixels, Faces]:
        """A scene and its faces."""
        kinds = (self._photographs, self._crowd, self._close_up, self._faceless, self._drawn)
        kind = int(self._rng.choice(len(kinds), p=(0.26, 0.42, 0.12, 0.17, 0.03)))
        scene, faces = kinds[kind]()
        if kind < 3 and self._rng.random() < 0.25:
            draw_things(self._rng, scene, int(self._rng.integers(1, 4)))
            faces[:, 4] = IGNORED  # they may hide a face: the teacher tells
        scene = _worsened(self._rng, scene)
        return scene, _kept(faces)

    def _photographs(self) -> tuple[Pixels, Faces]:
        """Some people, near and far: one photograph behind, others in front."""
        scene = self._background()
        faces = np.empty((0, 5), np.float32)
        if self._rng.random() < 0.6:
            faces = self._lay(scene, faces, self._rng.uniform(200, 520), soft=0.1)
        sides = np.exp(self._rng.uniform(np.log(36), np.log(230), int(self._rng.integers(1, 9))))
        for side in np.sort(sides):
            faces = self._lay(scene, faces, float(side))
        return scene, faces

    def _crowd(self) -> tuple[Pixels, Faces]:
        """People behind people, in rows: the nearer the larger and lower, with their shoulders over those behind."""
        rng, scene, faces = self._rng, self._background(), np.empty((0, 5), np.float32)
        high = np.exp(rng.uniform(np.log(12), np.log(64)))  # a face in the middle of the scene
        growth, apart, focus = rng.uniform(0, 1), rng.uniform(0.75, 1.8), rng.uniform(-0.3, 1.3)
        y = float(rng.uniform(-0.1, 0.4) * SCENE_PX)
        while y < SCENE_PX + high:
            face = high * (1 + growth * (y / SCENE_PX - 0.5))
            blur = face * 0.12 * max(0.0, abs(y / SCENE_PX - focus) - 0.4)  # those far from the plane in focus
            x = float(rng.uniform(-0.5, 0.5) * face)
            while x < SCENE_PX:
                if rng.random() < 0.85:
                    at = (x + float(rng.normal(0, 0.15)) * face, y + float(rng.normal(0, 0.25)) * face)
                    layer = self._person(face * float(rng.uniform(0.85, 1.2)), blur)
                    faces = _laid(scene, faces, layer, at)
                x += face * 0.8 * apart
            y += face * float(rng.uniform(0.5, 1.5)) * apart
        return scene, faces

    def _close_up(self) -> tuple[Pixels, Faces]:
        """One large face, of a photograph or of FER2013."""
        scene, faces = self._background(), np.empty((0, 5), np.float32)
        at = tuple(self._rng.normal(SCENE_PX / 2, SCENE_PX / 7, 2))
        if self._fer is not None and self._rng.random() < 0.3:
            side = np.exp(self._rng.uniform(np.log(60), np.log(360)))
            return scene, _laid(scene, faces, self._fer_layer(float(side)), at)
        return scene, self._lay(scene, faces, self._rng.uniform(260, 800), soft=0.15, at=at)

    def _faceless(self) -> tuple[Pixels, Faces]:
        """No faces, or pieces of some at most."""
        scene = self._background()
        draw_things(self._rng, scene, int(self._rng.integers(0, 12)))
        for _ in range(int(self._rng.integers(0, 40))):
            side = np.exp(self._rng.uniform(np.log(16), np.log(200)))
            _laid(scene, np.empty((0, 5), np.float32), self._piece(float(side)), tuple(self._rng.uniform(0, 320, 2)))
        return scene, np.empty((0, 5), np.float32)

    def _drawn(self) -> tuple[Pixels, Faces]:
        """The person of `demo:`, as a camera of some size would show it."""
        moment, size = float(self._rng.uniform(0, CYCLE_S)), (640, 480)
        scale = float(self._rng.uniform(0.35, 1.2))
        x, y, width, height = face_box_at(moment, size)
        left, top = x + width / 2 - SCENE_PX / 2 / scale, y + height / 2 - SCENE_PX / 2 / scale
        left, top = (start + float(self._rng.normal(0, 40)) / scale for start in (left, top))
        to_scene = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        frame = cv2.cvtColor(draw_scene(moment, size), cv2.COLOR_BGR2GRAY)
        scene = cv2.warpAffine(
            frame, to_scene, (SCENE_PX, SCENE_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
        )
        box = [(x - left) * scale, (y - top) * scale, width * scale, height * scale, 1]
        return np.asarray(scene, dtype=np.uint8), np.array([box], np.float32)

    def _background(self) -> Pixels:
        """Clutter without faces."""
        scene = draw_texture(self._rng, SCENE_PX)
        if self._rng.random() < 0.3:
            draw_things(self._rng, scene, int(self._rng.integers(1, 6)))
        if self._rng.random() < 0.75:
            near = np.exp(self._rng.uniform(np.log(60), np.log(300), int(self._rng.integers(0, 14))))
            for side in (700.0, *np.sort(near)[::-1]):  # the smallest, sharpest pieces last
                at = tuple(self._rng.uniform(0, SCENE_PX, 2))
                _laid(scene, np.empty((0, 5), np.float32), self._piece(side), at)
        return scene

    def _lay(
        self, scene: Pixels, faces: Faces, side: float, soft: float | None = None, at: tuple[float, ...] | None = None
    ) -> Faces:
        """Lay a photograph `side` pixels wide into `scene`, in place; all faces of the scene are returned."""
        place = tuple(self._rng.uniform(0, SCENE_PX, 2)) if at is None else at
        tile = int(np.searchsorted(self._cumulated, self._rng.random()))
        return _laid(scene, faces, self._photograph(tile, side, soft), place)

    def _photograph(self, tile: int, side: float, soft: float | None) -> Layer:
        """A tile turned, mirrored, relit and resized to `side`; some cut out around the head, others whole."""
        rng, faces = self._rng, self._tiles.boxes[tile]
        image = self._tiles.images[tile]
        cover = _without_border(image)
        if soft is None and len(faces) and rng.random() < 0.4:
            x, y, width, height = faces[np.argmax(faces[:, 4]), :4]
            head = np.zeros_like(cover)
            axes = (int(width * rng.uniform(0.8, 1.3)), int(height * rng.uniform(0.75, 1.1)))
            cv2.ellipse(head, (int(x + width / 2), int(y + height / 2)), axes, 0, 0, 360, 1.0, -1)
            cover = cover * cv2.GaussianBlur(head, (0, 0), float(rng.uniform(0.8, 5)))
        else:
            cover = cover * _soft_edge(rng.uniform(0.01, 0.2) if soft is None else soft)
        if rng.random() < 0.3:
            image = _masked(rng, image, faces)
        return self._warped(image, cover, faces, side)

    def _person(self, high: float, blur: float) -> Layer:
        """A tile cut out around head and shoulders, its face `high` pixels high, out of focus by a deviation `blur`."""
        rng = self._rng
        tile = int(np.searchsorted(self._cumulated, rng.random()))
        image, faces = self._tiles.images[tile], self._tiles.boxes[tile]
        if not len(faces):
            return self._photograph(tile, high * 2, None)
        x, y, width, height = (float(value) for value in faces[np.argmax(faces[:, 4]), :4])
        cover = np.zeros((TILE_PX, TILE_PX), np.float32)
        for middle, wide, tall in (
            (0.42, (0.62, 0.8), (0.66, 0.85)),
            (2.0, (1.2, 1.9), (0.9, 1.15)),
        ):  # head, shoulders
            spot = (int(x + width / 2), int(y + height * middle))
            axes = (int(width * rng.uniform(*wide)), int(height * rng.uniform(*tall)))
            cv2.ellipse(cover, spot, axes, 0, 0, 360, 1.0, -1)
        cover = cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(0.6, 3))) * _without_border(image)
        if rng.random() < 0.15:
            image = _masked(rng, image, faces)
        layer = self._warped(image, cover, faces, high * TILE_PX / height)
        if blur < 0.3:
            return layer
        pixels, soft = (cv2.GaussianBlur(values, (0, 0), blur) for values in (layer.pixels, layer.cover))
        return Layer(np.asarray(pixels, np.uint8), np.asarray(soft, np.float32), layer.faces)

    def _fer_layer(self, side: float) -> Layer:
        assert self._fer is not None
        face = cv2.resize(self._fer[self._rng.integers(len(self._fer))], (TILE_PX, TILE_PX))
        # YuNet's box of a FER2013 picture, as benchmarks/framing.py measures it: 0.82 wide, 1.06 high
        box = np.array([[0.505 - 0.41, 0.512 - 0.53, 0.82, 1.06, 1 / TILE_PX]], np.float32) * TILE_PX
        edge = _soft_edge(self._rng.uniform(0.01, 0.1))
        return self._warped(np.asarray(face, dtype=np.uint8), edge, box, side)

    def _piece(self, side: float) -> Layer:
        """A part of a photograph in which no face was seen, enlarged to `side`."""
        rng = self._rng
        for _ in range(20):
            tile, part = int(rng.integers(len(self._tiles))), int(rng.integers(18, 64))
            x, y = (int(value) for value in rng.integers(0, TILE_PX - part, 2))
            boxes = self._tiles.boxes[tile]
            apart = (boxes[:, 0] > x + part) | (boxes[:, 0] + boxes[:, 2] < x)
            apart |= (boxes[:, 1] > y + part) | (boxes[:, 1] + boxes[:, 3] < y)
            crop = self._tiles.images[tile][y : y + part, x : x + part]
            if apart.all() and (crop > BORDER_GRAY).mean() > 0.9:
                break
        else:
            crop = draw_texture(rng, 32)
        pixels = cv2.resize(crop, (TILE_PX, TILE_PX), interpolation=cv2.INTER_CUBIC)
        edge = _soft_edge(rng.uniform(0.01, 0.3))
        if rng.random() < 0.4:  # round as a head, a hand or a knee is
            edge = np.zeros_like(edge)
            axes = (int(TILE_PX * rng.uniform(0.25, 0.45)), int(TILE_PX * rng.uniform(0.35, 0.49)))
            cv2.ellipse(edge, (TILE_PX // 2, TILE_PX // 2), axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
        return self._warped(np.asarray(pixels, dtype=np.uint8), edge, np.empty((0, 5), np.float32), side)

    def _warped(self, image: Pixels, cover: npt.NDArray[np.float32], faces: Faces, side: float) -> Layer:
        """`image` with its cover and faces, turned up to 30 degrees, mirrored, stretched and relit at random."""
        rng, scale = self._rng, side / TILE_PX
        turn = np.radians(np.clip(rng.normal(0, 11), -30, 30))
        narrow = rng.uniform(0.6, 0.9) if rng.random() < 0.25 else 1.0  # as turned heads are
        wide = scale * narrow * rng.uniform(0.88, 1.12) * (1 if rng.random() < 0.5 else -1)
        c, s = np.cos(turn), np.sin(turn)
        matrix = np.array([[c * wide, -s * scale], [s * wide, c * scale]])
        out = int(np.ceil(side * (abs(c) + abs(s)) * 1.06))
        shift = out / 2 - matrix @ [TILE_PX / 2, TILE_PX / 2]
        to_layer = np.column_stack([matrix, shift])
        if scale < 0.7:  # warping alone would alias
            image = cv2.GaussianBlur(image, (0, 0), 0.45 / scale)  # type: ignore[assignment]
        pixels = cv2.warpAffine(image, to_layer, (out, out), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(cover, to_layer, (out, out), flags=cv2.INTER_LINEAR)
        moved = np.empty((len(faces), 5), np.float32)
        for row, (x, y, width, height, _) in zip(moved, faces, strict=True):
            middle = to_layer @ [x + width / 2, y + height / 2, 1]
            size = np.array([width * abs(wide), height * scale])
            row[:] = [*(middle - size / 2), *size, 1]
        return Layer(relit(rng, np.asarray(pixels, dtype=np.uint8)), np.asarray(alpha, np.float32), moved)


def _laid(scene: Pixels, faces: Faces, layer: Layer, at: tuple[float, ...]) -> Faces:
    """Lay `layer` into `scene` with its middle at `at`; the faces that are seen afterwards, the hidden ones marked."""
    size = layer.pixels.shape[0]
    left, top = round(at[0] - size / 2), round(at[1] - size / 2)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + size, SCENE_PX), min(top + size, SCENE_PX)
    if x1 <= x0 or y1 <= y0:
        return faces
    cut = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    part, cover = scene[y0:y1, x0:x1], layer.cover[cut]
    part[:] = (part + (layer.pixels[cut].astype(np.float32) - part) * cover).astype(np.uint8)
    for face in faces:
        x, y = (int(max(value, 0)) for value in face[:2])
        box = np.s_[max(y - y0, 0) : max(int(y + face[3]) - y0, 0), max(x - x0, 0) : max(int(x + face[2]) - x0, 0)]
        hidden = float(cover[box].sum()) / max(face[2] * face[3], 1.0)
        _hide(face, 1 - hidden)
    new = layer.faces.copy()
    for face in new:
        x, y, width, height = (int(value) for value in face[:4])
        box = np.s_[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        inside = layer.cover[box]
        _hide(face, float(inside.mean()) if inside.size else 0.0)
        face[:2] += (left, top)
    return np.concatenate([faces[faces[:, 4] != 0], new[new[:, 4] != 0]])


def _hide(face: npt.NDArray[np.float32], visible: float) -> None:
    """Mark `face`, in place, of which the share `visible` is left."""
    if visible < HIDDEN:
        face[4] = 0
    elif visible < VISIBLE:
        face[4] = IGNORED


def _kept(faces: Faces) -> Faces:
    """The faces that lie in the scene; small and cut ones are to be ignored, the smallest not even that."""
    x, y, width, height = faces[:, :4].T
    inside = np.clip(np.minimum(x + width, SCENE_PX) - np.maximum(x, 0), 0, None)
    inside = inside * np.clip(np.minimum(y + height, SCENE_PX) - np.maximum(y, 0), 0, None)
    share = inside / (width * height)
    faces = faces.copy()
    faces[(share < 0.55) | (height < MIN_FACE_PX), 4] = IGNORED
    faces = faces[(share > 0.1) & (height > 5)]
    # those to be found first, if there are more than a row of the pool holds
    return faces[np.argsort(-faces[:, 4], kind="stable")][:MAX_FACES]


def _without_border(image: Pixels) -> npt.NDArray[np.float32]:
    """1 where a tile shows its photograph, 0 in the black that deep-funnelling left, float32 [128, 128]."""
    dark = (image <= BORDER_GRAY).astype(np.uint8)
    seen = np.ones((TILE_PX, TILE_PX), np.float32)
    if not dark[0].any() and not dark[-1].any() and not dark[:, 0].any() and not dark[:, -1].any():
        return seen
    padded = np.ones((TILE_PX + 2, TILE_PX + 2), np.uint8)  # one black frame joins all that touches the edge
    padded[1:-1, 1:-1] = dark
    outside = cv2.floodFill(padded, None, (0, 0), 2)[1] == 2
    outside = cv2.dilate(outside.astype(np.uint8), np.ones((5, 5), np.uint8))[1:-1, 1:-1]
    return np.asarray(cv2.GaussianBlur(seen - outside, (0, 0), 1.0), dtype=np.float32)


def _soft_edge(share: float) -> npt.NDArray[np.float32]:
    """1 inside, falling to 0 over the outer `share` of a tile, float32 [128, 128]."""
    ramp = np.minimum(np.arange(TILE_PX) + 0.5, TILE_PX - 0.5 - np.arange(TILE_PX)) / (share * TILE_PX)
    ramp = np.clip(ramp, 0, 1).astype(np.float32)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.outer(ramp, ramp)


def _masked(rng: np.random.Generator, image: Pixels, faces: Faces) -> Pixels:
    """The tile with something before its faces: a mask or a hand on the mouth, a patch or a bar anywhere."""
    image = image.copy()
    for x, y, width, height, _ in faces:
        gray = int(rng.integers(20, 250))
        if rng.random() < 0.5:
            middle, axes = (x + width / 2, y + height * 0.8), (width * 0.5, height * rng.uniform(0.2, 0.3))
        else:
            middle = (x + width * rng.uniform(0, 1), y + height * rng.uniform(0, 1))
            axes = (width * rng.uniform(0.1, 0.35), height * rng.uniform(0.1, 0.35))
        turn = float(rng.uniform(-20, 20))
        spot, radii = tuple(int(v) for v in middle), tuple(max(1, int(v)) for v in axes)
        cv2.ellipse(image, spot, radii, turn, 0, 360, gray, -1, cv2.LINE_AA)
    return image


def relit(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Contrast, brightness and gamma changed a little; sometimes darkened much, or lit from one side."""
    gamma = np.exp(rng.normal(0, 0.25))
    gain, offset = np.exp(rng.normal(0, 0.2)), rng.normal(0, 14)
    if rng.random() < 0.12:
        gain, offset = rng.uniform(0.15, 0.5), rng.uniform(0, 12)
    table = np.clip(((np.arange(256) / 255) ** gamma * 255 - 127) * gain + 127 * min(gain, 1) + offset, 0, 255)
    lit = table.astype(np.uint8)[pixels]
    if rng.random() < 0.1:
        left, right = rng.uniform(0.3, 1.2, 2).tolist()
        ramp = np.linspace(left, right, lit.shape[1])
        lit = np.clip(lit * ramp, 0, 255).astype(np.uint8)
    return np.asarray(lit)


def _worsened(rng: np.random.Generator, scene: Pixels) -> Pixels:
    """The scene as a cheap camera gives it: sometimes blurred, coarse, dark, noisy, compressed."""
    if rng.random() < 0.25:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), float(rng.uniform(0.5, 2.5))), dtype=np.uint8)
    if rng.random() < 0.08:
        length = int(rng.integers(3, 10))
        kernel = np.zeros((length, length), np.float32)
        cv2.line(kernel, (0, int(rng.integers(length))), (length - 1, int(rng.integers(length))), 1.0)
        scene = np.asarray(cv2.filter2D(scene, -1, kernel / kernel.sum()), dtype=np.uint8)
    if rng.random() < 0.35:
        deviation = rng.uniform(2, 14)
        grain = rng.standard_normal(scene.shape, dtype=np.float32) * deviation
        scene = np.clip(scene + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        scene = np.asarray(cv2.imdecode(cv2.imencode(".jpg", scene, quality)[1], cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    return scene
