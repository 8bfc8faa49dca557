"""A program that ends while threads of ours work: it must end with its own exit code, without an abort."""

import subprocess
import sys

import pytest

START = """
import threading, time
from fer_edge import EmotionRecognizer
recognizer = EmotionRecognizer()
def run(job):
    threading.Thread(target=job, daemon=True).start()
"""
PROGRAMS = {
    "a live iterator": "results = recognizer.stream('demo:endless')\nfor _ in range(9): next(results)",
    "a live iterator in a block that a signal left": (
        "results = recognizer.stream('demo:endless')\nresults.__enter__()\nnext(results)\nraise SystemExit(0)"
    ),
    "a stream that was never read": "results = recognizer.stream('demo:endless')",
    "a stream in a daemon thread": (
        "run(lambda: [None for _ in recognizer.stream('demo:endless')])\ntime.sleep(0.3)"
    ),
    "two streams in daemon threads": (
        "for _ in range(2): run(lambda: [None for _ in recognizer.stream('demo:320x240,endless')])\ntime.sleep(0.3)"
    ),
    "images in a daemon thread": (
        "from fer_edge.demo.scene import draw_scene\nimage = draw_scene(0.5, (640, 480))\n"
        "def forever():\n    while True: recognizer([image] * 9)\nrun(forever)\ntime.sleep(0.2)"
    ),
    "recognizers made in a daemon thread": (
        "def forever():\n    while True: EmotionRecognizer()\nrun(forever)\ntime.sleep(0.2)"
    ),
}  # fmt: skip
RUNS = 4


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_ends_in_order_while_threads_work(program: str) -> None:
    for _ in range(RUNS):
        ran = subprocess.run(
            [sys.executable, "-c", START + program], capture_output=True, text=True, check=False, timeout=60
        )
        assert (ran.returncode, ran.stderr) == (0, "")


def test_the_exit_code_and_the_error_of_the_program_stay() -> None:
    program = f"{START}\nresults = recognizer.stream('demo:endless')\nnext(results)\nraise LookupError('mine')"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 1
    assert ran.stderr.endswith("LookupError: mine\n")
