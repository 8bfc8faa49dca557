"""Our own face detector: drawn scenes to learn from, its network, its training."""
