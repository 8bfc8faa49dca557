"""Benchmarks of fer-edge, each a module with one question."""
