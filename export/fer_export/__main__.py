"""Entry point of `fer-export` and `python -m fer_export`: handles signals before the imports."""

from typing import NoReturn

from fer_edge.guards.early_signals import end_at_once
from fer_edge.guards.shortages import lacking_threads


def main() -> NoReturn:
    """Run `fer-export` with the process's arguments."""
    restore_signals = end_at_once("fer-export")
    if (lacking := lacking_threads()) is not None:
        raise SystemExit(f"fer-export: {lacking}")
    from fer_export import cli

    restore_signals()
    cli.main()


if __name__ == "__main__":
    main()
