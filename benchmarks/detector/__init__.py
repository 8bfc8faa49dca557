"""How good are the face detectors?

detectors compares all of them, misses looks at luma; contestants and drawings are their helpers.
"""
