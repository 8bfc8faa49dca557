"""The command `fer-edge` and its subcommands."""
