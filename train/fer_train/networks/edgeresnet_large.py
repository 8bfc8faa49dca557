"""Our residual network at 2 MB in int8."""

from fer_train.networks.edgeresnet import EdgeResNet


class EdgeResNetLarge(EdgeResNet):
    """2.06 M parameters, 174 MMAC per face."""

    num_features = 256
    stem = 32
    stages = (64, 144, 256)


NETWORK = EdgeResNetLarge
