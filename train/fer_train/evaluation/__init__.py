"""Score trained networks.

metrics      probabilities and labels to accuracy, F1, confusion and calibration
truths       what a run's heads are measured against, and their metrics
predictors   a checkpoint or an ONNX file behind one interface
scoring      a predictor on a split of a data set

Training loops belong to training/, plots to plots/, what users see on the terminal to commands/.
"""
