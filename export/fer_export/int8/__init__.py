"""Quantize a network to int8."""
