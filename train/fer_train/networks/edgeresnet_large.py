"""Our residual network where two megabytes in int8 are no matter."""

from fer_train.networks.edgeresnet import EdgeResNet


class EdgeResNetLarge(EdgeResNet):
    """2.06 M parameters, 174 MMAC a face."""

    num_features = 256
    stem = 32
    stages = (64, 144, 256)


NETWORK = EdgeResNetLarge
