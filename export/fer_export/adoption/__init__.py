"""Adopting a third-party network: what must be known of it, its new graph, and what its outputs are.

| module | what it does |
|---|---|
| `heads` | its answers: which outputs become heads, and with which labels |
| `options` | all that must be known about it |
| `network` | edit its graph: uint8 faces in, an output per head |
| `probe` | run it on random faces: does it take a batch, does it give probabilities? |
"""
