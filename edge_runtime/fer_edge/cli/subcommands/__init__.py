"""What the subcommands of `fer-edge` do. `cli/commands` declares those that import little."""
