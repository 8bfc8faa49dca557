"""How good are the face detectors?

detectors compares all of them, misses looks at luma, small_faces at its smallest face. photos scores a detector on
annotated photos; contestants and drawings are helpers.
"""
