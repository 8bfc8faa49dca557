"""Fixtures of the connections' tests: the state of a run made of fakes, and the command in this process."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from fer_edge.cli import commands
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.serve.run_state import RunState


@pytest.fixture
def run_state(fakes) -> Callable[..., RunState]:
    """The state of a run over sources of these many frames, each finished; with one face in every frame."""

    def make(*frames: int, **options: object) -> RunState:
        state = RunState(fakes.Classifier(), **options)
        for count in frames:
            pipeline: Pipeline = fakes.pipeline(fakes.Source(count))
            state.begin(pipeline)
            fakes.finish(pipeline)
        return state

    return make


@pytest.fixture
def command(model, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in this process with the tiny network."""
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")

    def run(*arguments: str, source: str = "demo:320x240") -> Result:
        return CliRunner().invoke(commands.edge, [source, "--headless", "--model", str(model), *map(str, arguments)])

    return run
