"""How good are the face detectors?

detectors compares all of them, misses looks at luma; contestants, photos and drawings are their helpers.
"""
