"""Our residual network at a third of a megabyte in int8, for the smallest machines."""

from fer_train.networks.edgeresnet import EdgeResNet


class EdgeResNetSmall(EdgeResNet):
    """0.34 M parameters, 35 MMAC per face."""

    num_features = 96
    stem = 16
    stages = (32, 64, 96)


NETWORK = EdgeResNetSmall
