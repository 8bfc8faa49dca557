"""Entry point of `fer-train` and `python -m fer_train`: handles signals before the imports."""

from typing import NoReturn

from fer_edge.guards.early_signals import end_at_once
from fer_edge.guards.shortages import lacking_threads


def main() -> NoReturn:
    """Run `fer-train` with the process's arguments."""
    restore_signals = end_at_once("fer-train")
    if (lacking := lacking_threads()) is not None:
        raise SystemExit(f"fer-train: {lacking}")
    from fer_train import cli

    restore_signals()
    cli.main()


if __name__ == "__main__":
    main()
