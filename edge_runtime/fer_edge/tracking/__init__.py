"""From detections to steady faces: numbers, labels, smoothing."""
