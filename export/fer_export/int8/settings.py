"""The settings of int8 that the command line offers, too. Imports nothing, so that `--help` stays fast."""

AUTO = "auto"  # try every calibrator, keep the one that agrees best with fp32
CALIBRATORS = ("minmax", "percentile-99.999", "percentile-99.99", "entropy")
MIN_CALIBRATION_IMAGES = 512  # of fewer, mirror images calibrate, too: the ranges depend on the faces drawn
