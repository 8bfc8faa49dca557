"""Capture, detect and classify in a thread each."""
