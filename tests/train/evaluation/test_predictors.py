"""What scores faces: a checkpoint or an ONNX file, and which of its heads."""

from pathlib import Path

import pytest

from fer_edge.errors import ModelError
from fer_models import model_path
from fer_train.evaluation.predictors import open_predictor
from fer_train.networks import build_network
from fer_train.networks.checkpoint import Checkpoint, save_checkpoint
from fer_train.networks.heads import Head


def test_a_missing_head_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    heads = (Head("people", ("happy", "sad")), Head("ferplus", ("happy", "sad", "contempt")))
    save_checkpoint(Checkpoint("edgeresnet", heads, build_network("edgeresnet", 5).state_dict()), tmp_path / "best.pt")
    assert open_predictor(tmp_path / "best.pt", head="ferplus").classes == ("happy", "sad", "contempt")
    for path in (tmp_path / "best.pt", model_path("int8")):
        with pytest.raises(ModelError, match=rf"{path.name} has no head 'votes': choose one of people, ferplus"):
            open_predictor(path, head="votes")
