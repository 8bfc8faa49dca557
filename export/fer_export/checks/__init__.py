"""Measure an exported graph and hold it to bounds. Nothing here changes a graph."""
