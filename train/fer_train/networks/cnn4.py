"""The four-layer CNN of the field's tutorials, as a well-known baseline."""

import torch
from torch import Tensor, nn

from fer_train.networks.base import Network, Recipe


class Cnn4(Network):
    """Four unpadded 3x3 convolutions (32, 64, 128, 128), max-pooling, dropout and a dense layer of 1024.

    2.35 M parameters, 77 MMAC per face. Layers and dropout rates are those of widely copied Keras tutorials, which
    report 63.2 % after 50 epochs.
    """

    num_features = 1024
    recipe = Recipe(optimizer="adamw", learning_rate=1e-3, weight_decay=1e-4)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(),
            nn.Conv2d(32, 64, 3), nn.ReLU(),
            nn.MaxPool2d(2), nn.Dropout(0.25),
            nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(128, 128, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        )  # fmt: skip
        self.dense = nn.Linear(128 * 4 * 4, self.num_features)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(self.num_features, num_classes)

    def forward_features(self, faces: Tensor) -> Tensor:
        maps = self.features(faces)  # [N, 128, 4, 4]
        features: Tensor = self.dropout(torch.relu(self.dense(maps.flatten(1))))
        return features


NETWORK = Cnn4
