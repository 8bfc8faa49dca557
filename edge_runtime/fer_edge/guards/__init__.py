"""Guards that everything above may use: what a stranger's input may cost, say and be, and who writes an output.

`limits` is the table of bounds. `regular_files` and `rows` read within them. `exit_guard` ends threads.
"""
