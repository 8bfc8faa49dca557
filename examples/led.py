"""Light an LED while a face is happy.

python examples/led.py          # camera 0, LED at GPIO 17
GPIOZERO_PIN_FACTORY=mock python examples/led.py demo:   # without a Raspberry Pi
"""

import sys

from gpiozero import LED

from fer_edge import EmotionRecognizer


def main(source: str | int = 0) -> None:
    """Follow `source` to its end, or until Ctrl-C."""
    led = LED(17)
    with EmotionRecognizer() as recognizer, recognizer.stream(source, images=False) as results:
        for result in results:
            led.value = any(face.emotion == "happy" and not face.unsure for face in result)
    led.off()


if __name__ == "__main__":
    main(*sys.argv[1:])
