"""Guards that everything above may use: `limits` bounds what a stranger's input may cost; `exit_guard` ends threads."""
