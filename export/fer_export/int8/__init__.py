"""Quantize a graph to int8: choose ranges, quantize, correct biases, fit the temperature, make the file fast and small.

How good the result is gets measured in `checks`.
"""
