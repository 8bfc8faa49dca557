"""The running pipeline: capture, detection and classification in a thread each, with their options and statistics.

`playback` plays a file at its speed, pauses it and moves to another position. `preload` starts to load the networks,
`single` runs them on single images.
Sources, detectors, networks and sinks are handed in; their code lives in the folders of those names.
"""
