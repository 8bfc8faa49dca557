"""Score networks: metrics, predictors, evaluation."""
