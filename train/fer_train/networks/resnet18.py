"""ResNet18 (He et al. 2016) for 48x48 gray faces: a teacher."""

from torch import Tensor, nn

from fer_train.networks.base import Network, Recipe


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around an identity, or around a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1, self.relu2 = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.relu1(self.bn1(self.conv1(maps)))
        outer = self.bn2(self.conv2(inner))
        passed = maps if self.downsample is None else self.downsample(maps)
        result: Tensor = self.relu2(outer + passed)
        return result


class ResNet18(Network):
    """11.2 M parameters, 1,253 MMAC per face.

    Layers are named as in torchvision, so that its ImageNet weights load. The 7x7 convolution has no stride and no
    max-pooling follows: a 48-pixel face then reaches the later layers at 48x48, nearly the 56x56 of a 224-pixel
    photo.
    """

    num_features = 512
    recipe = Recipe()
    stages = (64, 128, 256, 512)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 7, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        channels = 64
        for number, width in enumerate(self.stages, start=1):
            first = BasicBlock(channels, width, 1 if number == 1 else 2)
            self.add_module(f"layer{number}", nn.Sequential(first, BasicBlock(width, width, 1)))
            channels = width
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, faces: Tensor) -> Tensor:
        maps = self.relu(self.bn1(self.conv1(faces)))  # [N, 64, 48, 48]
        for number in range(1, len(self.stages) + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
        features: Tensor = self.dropout(self.pool(maps).flatten(1))  # of [N, 512, 6, 6]
        return features


NETWORK = ResNet18
