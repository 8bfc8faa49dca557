"""Measure an exported file and hold it to bounds."""
