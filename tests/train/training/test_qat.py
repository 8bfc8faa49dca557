"""Quantization-aware training rounds as int8 does, and leaves an ordinary checkpoint."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fer_edge.errors import FerError
from fer_train.data import FaceData
from fer_train.network_names import network_names
from fer_train.networks import Network, build_network
from fer_train.networks.checkpoint import load_checkpoint
from fer_train.training.qat import fake_quantize, fake_quantize_activations, fake_quantize_weights
from fer_train.training.targets import training_set
from fer_train.training.trainer import Trainer

from ..conftest import face_data
from .conftest import OPTIONS, StoppedError, run, same_tensors, without_times


def test_weights_have_255_levels_for_each_output_channel() -> None:
    weights = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 10, 0.1, 0]).view(
        -1, 1, 1, 1
    )
    rounded = fake_quantize_weights(weights)
    for before, after in zip(weights[:3], rounded[:3], strict=True):
        scale = before.abs().max() / 127
        assert torch.allclose(after / scale, (before / scale).round(), atol=1e-3)
    assert not rounded[3].any()


def test_values_have_256_levels_and_are_clipped_at_the_top() -> None:
    values = torch.tensor([0.0, 0.4, 0.6, 254.4, 300.0], requires_grad=True)
    rounded = fake_quantize_activations(values, torch.tensor(255.0))
    assert rounded.tolist() == [0, 0, 1, 254, 255]
    rounded.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1, 1, 1, 1, 0], "gradients pass the rounding, not the clipping"


@pytest.mark.parametrize("name", sorted(set(network_names()) - {"cnn4"}))
def test_a_fake_quantized_network_predicts_nearly_as_before_and_keeps_its_names(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, 7)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as in a trained network
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    faces = torch.randn(2, 1, 48, 48)
    expected = network.eval().forward_features(faces)
    names = list(network.state_dict())
    ranges = fake_quantize(network)
    for module in network.modules():
        module.train(isinstance(module, nn.ReLU))  # ReLUs observe their ranges, dropout stays off
    network.forward_features(faces)
    assert (ranges.tops > 0).all()
    rounded = network.eval().forward_features(faces)
    error = float((rounded.detach() - expected.detach()).norm() / expected.detach().norm())
    assert 0 < error < 0.1
    assert list(network.state_dict()) == names


def test_a_network_without_batch_normalization_is_refused() -> None:
    with pytest.raises(FerError, match="--qat needs a network in which batch normalization follows"):
        fake_quantize(build_network("cnn4", 7))


def test_fine_tuning_learns_the_rounding_and_resumes(data: FaceData, uninterrupted: Trainer, tmp_path: Path) -> None:
    weights = load_checkpoint(uninterrupted.out / "best.pt").state_dict
    initial: Callable[[Network], object] = lambda network: network.load_state_dict(dict(weights))  # noqa: E731
    options = replace(OPTIONS, quantized=True, epochs=2, recipe=replace(OPTIONS.recipe, learning_rate=1e-4))
    tuned = run(data, options, tmp_path / "whole", initial=initial)
    assert tuned.best_accuracy > uninterrupted.best_accuracy - 0.1
    with pytest.raises(StoppedError):
        run(data, options, tmp_path / "broken", stop_at=9, initial=initial)
    resumed = run(data, options, tmp_path / "broken", resume=True, initial=initial)
    assert without_times(resumed.history) == without_times(tuned.history)
    assert same_tensors(resumed.student.state_dict(), tuned.student.state_dict())
    best = load_checkpoint(tmp_path / "whole" / "best.pt")
    assert best.options["quantised"] is True, "files keep the key they have always had"
    assert len(best.options["relu_ranges"]) == 10
    assert min(best.options["relu_ranges"]) > 0
    assert best.network() is not None, "an ordinary checkpoint"
    assert not same_tensors(best.state_dict, weights)


def test_testing_uses_the_rounding(tmp_path: Path) -> None:
    data = face_data(train=4, test=3)
    (tmp_path / "a").mkdir()
    options = replace(OPTIONS, quantized=True, epochs=1)
    trainer = Trainer(training_set(data), options, tmp_path / "a")
    seen: list[Tensor] = []
    relu = [module for module in trainer.average.modules() if isinstance(module, nn.ReLU)][-1]
    relu.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    trainer.run(lambda _step, _means: None, lambda _record, _is_best: None)
    assert trainer.student.ranges is not None
    levels = seen[0] / (trainer.student.ranges.tops[-1] / 255)
    assert np.allclose(levels, levels.round(), atol=1e-2)
