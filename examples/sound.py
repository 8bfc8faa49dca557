#!/usr/bin/env python3
"""Play a tone when a face's emotion changes: fer-edge --on-change examples/sound.py.

It gets the change as JSON on its stdin. To play a file of yours instead, give its name to `player`.
"""

import json
import math
import shutil
import struct
import subprocess
import sys
import tempfile
import wave

TONES_HZ = {"happy": 880, "surprise": 660, "neutral": 440, "sad": 220, "angry": 165, "fear": 330, "disgust": 196}
RATE = 16_000
SECONDS = 0.3


def main() -> None:
    """Play the tone of the emotion that a face shows now."""
    change = json.load(sys.stdin)
    pitch = TONES_HZ.get(change.get("emotion"))
    player = shutil.which("paplay") or shutil.which("aplay")
    if change.get("change") == "left" or pitch is None:
        return
    if player is None:
        sys.exit("neither paplay nor aplay is installed (Debian's packages pulseaudio-utils and alsa-utils)")
    samples = [round(12_000 * math.sin(2 * math.pi * pitch * n / RATE)) for n in range(int(RATE * SECONDS))]
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        with wave.open(file.name, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(RATE)
            sound.writeframes(struct.pack(f"<{len(samples)}h", *samples))
        subprocess.run([player, file.name], check=True, timeout=5)


if __name__ == "__main__":
    main()
