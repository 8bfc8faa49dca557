"""`python -m fer_train` is the command fer-train."""

from fer_train.cli import main

if __name__ == "__main__":
    main()
