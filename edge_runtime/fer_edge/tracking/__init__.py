"""Faces over time: which face is which (`tracker`), when to classify it (`labels`), a steady label (`smoothing`).

Finding and classifying faces lives in `detectors` and `network`; the threads live in `pipeline`.
"""
