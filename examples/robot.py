"""The loop of a robot that looks at people and keeps away from angry ones; it prints what it would do.

    python examples/robot.py        # camera 0
    python examples/robot.py demo:  # without a camera

To drive a real one, replace `print` with your motors, such as gpiozero's Robot.
"""

import sys

from fer_edge import EmotionRecognizer, FrameResult

NEAR = 0.5  # a face that is higher than this part of the image is near


def decide(result: FrameResult) -> str:
    """What to do next: wait, forward, left, right, back or dance."""
    if not result.faces or result.image is None:
        return "wait"
    face = max(result, key=lambda each: each.box[3])
    height, width = result.image.shape[:2]
    x, _, face_width, face_height = face.box
    if not face.unsure and face.emotion in ("angry", "fear"):
        return "back"
    side = (x + face_width / 2) / width
    if side < 1 / 3:
        return "left"
    if side > 2 / 3:
        return "right"
    if not face.unsure and face.emotion == "happy":
        return "dance"
    return "wait" if face_height > NEAR * height else "forward"


def main(source: str | int = 0) -> None:
    """Follow `source` to its end, or until Ctrl-C."""
    last = ""
    with EmotionRecognizer() as recognizer, recognizer.stream(source) as results:
        for result in results:
            action = decide(result)
            if action != last:
                print(f"{result.t:6.2f} s  {action}", flush=True)
            last = action


if __name__ == "__main__":
    main(*sys.argv[1:])
