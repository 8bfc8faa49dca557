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
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.relu1(self.bn1(self.conv1(maps)))
        outer: Tensor = self.relu2(maps + self.bn2(self.conv2(inner)))
        return outer


class EdgeResNet(Network):
    """A stem and three stages, each a stride-2 convolution and one residual block.

    0.86 M parameters, 82 MMAC a face: under 1 MB in int8. Dense 3x3 convolutions with plain ReLU and channels in
    multiples of 16 are what onnxruntime's int8 kernels run fastest (depthwise, PReLU and squeeze-excite gain
    little there). The other sizes differ in `stem` and `stages`, the channels.
    """

    num_features = 160
    recipe = Recipe()
    stem = 24
    stages = (48, 96, 160)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(1, self.stem), nn.BatchNorm2d(self.stem), nn.ReLU(inplace=True)]
        channels = self.stem
        for width in self.stages:
            layers += [_conv(channels, width, stride=2), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers += [ResidualBlock(width)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward_features(self, faces: Tensor) -> Tensor:
        maps = self.features(faces)  # [N, num_features, 6, 6]
        features: Tensor = self.dropout(self.pool(maps).flatten(1))
        return features


NETWORK = EdgeResNet
