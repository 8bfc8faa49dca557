"""The running pipeline: capture, detection and classification in a thread each, with their options and statistics.

`playback` plays a file at its speed, pauses it and moves to another position.
Sources, detectors, networks and sinks are handed in; their code lives in the folders of those names.
"""
