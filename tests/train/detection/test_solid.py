import numpy as np
import pytest

from fer_train.detection.synthesis.solid import CLEARED, Head, Look, Pose, face_at, posed

HEAD = Head(64, 60, 30, 40)
BEHIND, SKIN, HAIR = 220, 120, 20


def picture(behind: int = BEHIND) -> np.ndarray:
    """A grey head with dark hair before a wall, uint8 [128, 128]."""
    y, x = np.mgrid[:128, :128]
    v = (y - HEAD.y) / HEAD.half_height
    inside = ((x - HEAD.x) / HEAD.half_width) ** 2 + v**2 < 1
    return np.where(inside, np.where(v < -0.6, HAIR, SKIN), behind).astype(np.uint8)


def seen(image: np.ndarray, yaw: float = 0, pitch: float = 0, roll: float = 0, look: Look | None = None) -> np.ndarray:
    pose = Pose(*np.radians((yaw, pitch, roll)))
    return posed(image, HEAD, pose, look or Look(), np.random.default_rng(0)).astype(int)


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"), [(40, 0, 0), (-40, 0, 0), (0, 30, 0), (0, -20, 0), (0, 0, 30), (60, 20, -10)]
)
def test_a_head_turns_and_face_at_says_where_its_face_is(yaw: float, pitch: float, roll: float) -> None:
    image = picture(behind=100)
    image[62:70, 60:68] = 250  # between eyes and mouth
    y, x = np.nonzero(seen(image, yaw, pitch, roll) > 180)
    straight = np.array(face_at(HEAD, Pose(0, 0, 0)))
    moved = np.array([x.mean(), y.mean()]) - straight
    face = np.array(face_at(HEAD, Pose(*np.radians((yaw, pitch, roll))))) - straight
    along = float(face @ moved / (moved @ moved))
    assert 0.5 < along < 1.1  # the middle of a face lies a little behind its skin
    assert np.linalg.norm(face - along * moved) < 5


def test_the_signs_of_the_angles() -> None:
    straight = face_at(HEAD, Pose(0, 0, 0))
    assert face_at(HEAD, Pose(0.5, 0, 0))[0] > straight[0] + 5  # to the right
    assert face_at(HEAD, Pose(0, 0.5, 0))[1] > straight[1] + 5  # down
    assert face_at(HEAD, Pose(0, 0, 0.5))[0] > straight[0] + 3  # clockwise about the neck


def test_a_head_that_faces_the_camera_looks_as_it_did() -> None:
    image = picture()
    image[50:54, 50:56] = 60  # an eye
    face = np.s_[45:85, 45:83]
    assert np.abs(seen(image)[face] - image[face]).mean() < 3


def test_in_profile_the_nose_stands_out() -> None:
    head = seen(picture(), yaw=90) < 180
    front = [int(np.nonzero(head[row])[0].max()) for row in (57, 68, 75)]  # root of the nose, its tip, mouth
    assert front[1] > front[0] + 4
    assert front[1] > front[2] + 4
    other = seen(picture(), yaw=-90) < 180
    assert 64 - np.nonzero(other[68])[0].min() == pytest.approx(front[1] - 64, abs=2)


def test_from_behind_there_is_hair_and_no_face() -> None:
    image = picture()
    image[50:54, 45:80] = 250  # the eyes
    back = seen(image, yaw=180, look=Look(hair_ends=1.0))
    assert (back[45:75, 55:75] < 60).all()
    gray = seen(image, yaw=180, look=Look(hair_ends=1.0, hair_gray=90.0))
    assert 75 < gray[45:75, 55:75].mean() < 105


def test_light_from_a_side_brightens_that_side() -> None:
    lit = seen(picture(), look=Look(light=(0.4, 0.0)))
    assert lit[60:80, 78:86].mean() > lit[60:80, 44:52].mean() + 15


def test_what_is_far_from_the_head_stays_and_where_it_was_is_what_is_beside_it() -> None:
    image = picture()
    shown = seen(image, yaw=90, pitch=20)
    y, x = np.mgrid[:128, :128]
    away = ((x - HEAD.x) / (HEAD.half_width * CLEARED)) ** 2 + ((y - HEAD.y) / (HEAD.half_height * CLEARED)) ** 2
    far = (away > 2.5) & (y < 100)
    assert np.array_equal(shown[far], image[far])
    gone = image < 200
    gone[:, 44:] = False  # the face turned away from there; the back of the head is higher and further right
    gone[:62] = False
    assert gone.sum() > 50
    assert np.median(shown[gone]) > BEHIND - 5


def test_edges_are_neither_darker_nor_lighter_than_what_they_part() -> None:
    plain = np.full((128, 128), 200, np.uint8)
    shown = posed(plain, HEAD, Pose(0.6, 0.1, 0.0), Look(hair_ends=-1.0), np.random.default_rng(0))
    y, x = np.mgrid[:128, :128]
    away = ((x - HEAD.x) / HEAD.half_width) ** 2 + ((y - HEAD.y) / HEAD.half_height) ** 2
    assert (shown[(y < 50) & (away > 0.5)] > 165).all()  # 0.85 of it is the plain skin of temples


def test_a_bent_head_has_no_hole_in_its_crown() -> None:
    shown = seen(picture(), pitch=55, look=Look(hair_ends=1.0))
    assert (shown[45:60, 58:70] < 60).all()  # hair
