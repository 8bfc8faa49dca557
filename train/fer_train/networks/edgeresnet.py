"""Our residual network, shaped for int8 on small CPUs."""

from torch import Tensor, nn

from fer_train.networks.base import Network, Recipe


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity; ReLU after the sum, so that int8 fuses the Add."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, channels), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = _conv(channels, channels), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.relu(self.bn1(self.conv1(maps)))
        outer: Tensor = self.relu(maps + self.bn2(self.conv2(inner)))
        return outer


class EdgeResNet(Network):
    """A stem and three stages, each a stride-2 convolution and one residual block.

    0.86 M parameters, 82 MMAC a face. Dense 3x3 convolutions with plain ReLU and channels in multiples of 16
    are what onnxruntime's int8 kernels run fastest (depthwise, PReLU and squeeze-excite gain little there).
    """

    num_features = 160
    recipe = Recipe()

    def __init__(self, num_classes: int, stem: int = 24, stages: tuple[int, ...] = (48, 96, 160)) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(1, stem), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)]
        channels = stem
        for width in stages:
            layers += [_conv(channels, width, stride=2), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers += [ResidualBlock(width)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward_features(self, faces: Tensor) -> Tensor:
        maps = self.features(faces)  # [N, 160, 6, 6]
        features: Tensor = self.dropout(self.pool(maps).flatten(1))
        return features
