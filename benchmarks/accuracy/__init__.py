"""How often are labels right, and how steady are they?

classifier (on FER2013, with corruptions), framing, cropping, light and steadiness. The quality of the detectors is
measured in detector/.
"""
