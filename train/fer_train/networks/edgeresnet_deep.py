"""Our residual network at the largest size within 1 MB in int8 and 110 MMAC."""

from fer_train.networks.edgeresnet import EdgeResNet


class EdgeResNetDeep(EdgeResNet):
    """0.90 M parameters, 106 MMAC per face: edgeresnet with a second block at 24x24.

    It can start from edgeresnet's weights.
    """

    more_blocks = (1, 0, 0)


NETWORK = EdgeResNetDeep
