"""A Raspberry Pi in a box: what `pi.py` needs to build it, run it and compare it."""
