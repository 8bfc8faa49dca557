"""VGG16 with batch normalization (Simonyan and Zisserman 2015) for 48x48 gray faces: a teacher."""

from torch import Tensor, nn

from fer_train.networks.base import Network, Recipe


class Vgg16(Network):
    """14.7 M parameters, 702 MMAC per face.

    The convolutions are named as in torchvision, so that its ImageNet weights load. An average over the maps and one
    dense layer replace its three dense layers (120 M parameters for 224-pixel photos).
    """

    num_features = 512
    recipe = Recipe(learning_rate=0.05)
    stages: tuple[tuple[int, ...], ...] = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for stage in self.stages:
            for width in stage:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2))
        layers.pop()  # the maps are 3x3 by now and averaged next
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, faces: Tensor) -> Tensor:
        maps = self.features(faces)  # [N, 512, 3, 3]
        features: Tensor = self.dropout(self.pool(maps).flatten(1))
        return features


NETWORK = Vgg16
