"""What the benchmarks share.

timing (jobs that take turns, the noise of the machine), results (figures, the results file), tables, plots, options of
the command line, inputs (drawn faces and clips, PublicTest), streams (a clip through the pipeline). A benchmark
itself does not belong here.
"""
