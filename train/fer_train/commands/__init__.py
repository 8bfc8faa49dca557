"""The subcommands of fer-train, a file each."""
