"""How often are labels right, and how steady are they?

classifier (on FER2013, with corruptions), people (every head against both truths, and people that it has not seen),
people_framing, groups, confidence, framing, cropping, light and steadiness. contestants and people_scores are shared.
The quality of the detectors is measured in detector/.
"""
