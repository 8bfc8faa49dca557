"""Our residual network for the smallest machines: a third of a megabyte in int8."""

from fer_train.networks.edgeresnet import EdgeResNet


class EdgeResNetSmall(EdgeResNet):
    """0.34 M parameters, 35 MMAC a face."""

    num_features = 96
    stem = 16
    stages = (32, 64, 96)


NETWORK = EdgeResNetSmall
