"""The command `fer-train`: training, with the other commands as subcommands beside it."""

from typing import NoReturn

from fer_edge.console import run_main
from fer_train.commands.convert import convert
from fer_train.commands.detector import detector
from fer_train.commands.evaluate import evaluate
from fer_train.commands.faces import faces
from fer_train.commands.head import head
from fer_train.commands.predict import predict
from fer_train.commands.scenes import scenes
from fer_train.commands.search.command import search
from fer_train.commands.summary import summary
from fer_train.commands.train import train

for command in (convert, detector, evaluate, faces, head, predict, scenes, search, summary):
    train.add_command(command)


def main() -> NoReturn:
    """Run the command; `__main__` does so for the console script."""
    run_main(train, "fer-train")


if __name__ == "__main__":
    main()
