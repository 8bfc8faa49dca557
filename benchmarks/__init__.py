"""Benchmarks of fer-edge: each module answers one question and runs as `python -m benchmarks.FOLDER.MODULE`.

accuracy, speed, detector and raspberry_pi hold the benchmarks, peers the adapters to other people's recognizers, and
harness what they share, scorecard what is shown first of their results. run_all runs a small version of the main ones,
report writes docs/benchmarks.md. Not part of the wheel.
"""
