"""The moving average of the weights."""

import pytest
import torch

from fer_train.training.ema import WeightAverage


def test_weights_are_averaged_and_counters_copied() -> None:
    network, average = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    ema = WeightAverage(average, network, decay=0.9)
    with torch.no_grad():
        network.weight.fill_(11.0)
        network.num_batches_tracked.fill_(5)
    ema.update(step=10_000)
    assert average.weight.tolist() == pytest.approx([2.0, 2.0])  # 0.9 * 1 + 0.1 * 11
    assert int(average.num_batches_tracked) == 5
    ema.update(step=0)  # early steps have a smaller decay: (1 + 0) / (10 + 0)
    assert average.weight.tolist() == pytest.approx([10.1, 10.1])
