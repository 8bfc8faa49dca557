"""`fer-edge serve`: REST without a camera, for images that clients send."""

import gc
import logging
import os
import threading
from pathlib import Path
from typing import Any

import click

from fer_edge.cli.connect_options import LOOPBACK, TOKEN_OPTIONS, Listen
from fer_edge.cli.options import (
    DETECTION_OPTIONS,
    DETECTOR_OPTIONS,
    MIN_CONFIDENCE_OPTION,
    NETWORK_OPTIONS,
    THREADS_OPTION,
    add_options,
)
from fer_edge.console import LogFormatter, extra_required, option_named

DEFAULT_PORT = 8080
ALIVE_S = 1.0  # between two notifications of systemd


@click.command()
@click.argument("address", type=Listen(), default=(LOOPBACK, DEFAULT_PORT), metavar="[[HOST:]PORT]")
@add_options(
    [*TOKEN_OPTIONS, *NETWORK_OPTIONS, *DETECTOR_OPTIONS, *DETECTION_OPTIONS, MIN_CONFIDENCE_OPTION, THREADS_OPTION]
)
@click.pass_context
def serve(
    ctx: click.Context, /, address: tuple[str, int], serve_token: Path | None, serve_host: tuple[str, ...],
    threads: int | None, **networks: Any,
) -> None:  # fmt: skip
    """Recognize the faces of images that other programs send, without a camera (needs the extra web).

    PORT is 8080 by default. Other machines reach it only if HOST is given, with a token.

    \b
    Send an image:  curl -H "Content-Type: image/jpeg" --data-binary @photo.jpg localhost:8080/api/v1/recognize
    """
    if networks["model"] is not None and networks["precision"] is not None:
        raise click.UsageError("--precision is for the shipped networks: leave it out with --model", ctx)
    gc.enable()  # __main__ disables it for the imports
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("fer-edge serve: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    with extra_required("fer-edge serve", "web"):
        from fer_edge.serve.web.dashboard import Dashboard
    from fer_edge.cli.systemd import SystemdNotifier
    from fer_edge.network.classifier import Classifier
    from fer_edge.recognizer import EmotionRecognizer
    from fer_edge.serve.run_state import RunState
    from fer_models import default_model, model_path

    threads = threads or max(1, (os.cpu_count() or 1) // 2)
    given, precision = networks.pop("model"), networks.pop("precision")
    model = given or (model_path(precision) if precision else default_model())
    with option_named("--model", given):
        state = RunState(Classifier(model, threads, networks["head"]), camera=False)
    with option_named("--detector-model", networks["detector_model"]):
        recognizer = EmotionRecognizer(model, threads=threads, **networks)
    server = Dashboard(address, serve_token, serve_host, state, lambda: recognizer)
    notifier = SystemdNotifier()
    server.start(lambda: None)
    server.announce()
    try:
        notifier.alive(first=True)
        while not threading.Event().wait(ALIVE_S) and server.is_alive:
            notifier.alive(first=False)
    finally:
        notifier.stopping()
        server.stop()
