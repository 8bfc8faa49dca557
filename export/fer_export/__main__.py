"""`python -m fer_export` is the command fer-export."""

from fer_export.cli import main

if __name__ == "__main__":
    main()
