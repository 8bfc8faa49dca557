"""Our residual network, shaped for int8 on small CPUs."""

from collections import OrderedDict

from torch import Tensor, nn

from fer_train.networks.base import Network, Recipe


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity; ReLU after the sum, so that int8 fuses the Add.

    is_identity: start as the identity, with a last scale of zero (Goyal et al. 2017), so that a trained network can
    be extended by this block.
    """

    def __init__(self, channels: int, is_identity: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, channels), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = _conv(channels, channels), nn.BatchNorm2d(channels)
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
        if is_identity:
            nn.init.zeros_(self.bn2.weight)

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.relu1(self.bn1(self.conv1(maps)))
        outer: Tensor = self.relu2(maps + self.bn2(self.conv2(inner)))
        return outer


class EdgeResNet(Network):
    """A stem and three stages, each a stride-2 convolution and one residual block (He et al. 2016).

    0.86 M parameters, 82 MMAC per face: under 1 MB in int8. onnxruntime's int8 kernels are fastest with dense 3x3
    convolutions, plain ReLU and channels in multiples of 16; depthwise convolutions, PReLU and squeeze-excite gain
    little there.

    stem, stages: channels. more_blocks: residual blocks of each stage beyond the first. These start as the identity
    and do not change the other layers' names, so that a network can start from the weights of one without them.
    """

    num_features = 160
    recipe = Recipe()
    stem = 24
    stages = (48, 96, 160)
    more_blocks = (0, 0, 0)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(1, self.stem), nn.BatchNorm2d(self.stem), nn.ReLU(inplace=True)]
        names = ["0", "1", "2"]  # a stage adds four numbers, and number_index for each of its further blocks
        channels = self.stem
        for width, blocks in zip(self.stages, self.more_blocks, strict=True):
            first = int(names[-1].partition("_")[0]) + 1
            layers += [_conv(channels, width, stride=2), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers += [ResidualBlock(width), *(ResidualBlock(width, is_identity=True) for _ in range(blocks))]
            names += [f"{first + index}" for index in range(4)] + [f"{first + 3}_{index}" for index in range(blocks)]
            channels = width
        self.features = nn.Sequential(OrderedDict(zip(names, layers, strict=True)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward_features(self, faces: Tensor) -> Tensor:
        maps = self.features(faces)  # [N, num_features, 6, 6]
        features: Tensor = self.dropout(self.pool(maps).flatten(1))
        return features


NETWORK = EdgeResNet
