"""Our residual network at the most that a megabyte in int8 and 110 MMAC allow."""

from fer_train.networks.edgeresnet import EdgeResNet


class EdgeResNetDeep(EdgeResNet):
    """0.90 M parameters, 106 MMAC a face: edgeresnet with a second block at 24x24, whose weights it can start from."""

    more_blocks = (1, 0, 0)


NETWORK = EdgeResNetDeep
