"""How good are the face detectors?"""
