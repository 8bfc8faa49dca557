"""Turn a servo to the largest face, as far as the camera sees.

python examples/servo.py        # camera 0, servo at GPIO 18
GPIOZERO_PIN_FACTORY=mock GPIOZERO_MOCK_PIN_CLASS=mockpwmpin python examples/servo.py demo:
"""

import sys

from gpiozero import Servo

from fer_edge import EmotionRecognizer

SMOOTH = 0.2  # of the way to the face per frame: less is calmer, more is faster


def main(source: str | int = 0) -> None:
    """Follow `source` to its end, or until Ctrl-C."""
    servo, position = Servo(18), 0.0
    with EmotionRecognizer() as recognizer, recognizer.stream(source) as results:
        for result in results:
            if result.faces and result.image is not None:
                x, _, width, _ = max((face.box for face in result), key=lambda box: box[2] * box[3])
                target = 2 * (x + width / 2) / result.image.shape[1] - 1  # -1 is the left edge, 1 the right one
                position += SMOOTH * (target - position)
                servo.value = max(-1.0, min(position, 1.0))
    servo.detach()


if __name__ == "__main__":
    main(*sys.argv[1:])
