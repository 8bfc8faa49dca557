"""How pixel values become the numbers that networks see; exported graphs do the same."""

from torch import Tensor

# Networks see (value - MEAN) / STD. Powers of two, so that the exported DequantizeLinear(1/64, 128)
# gives bit-identical numbers.
MEAN = 128.0
STD = 64.0


def normalize(images: Tensor) -> Tensor:
    """uint8 [N, H, W] to the float32 [N, 1, H, W] that networks take."""
    return ((images.float() - MEAN) / STD).unsqueeze(1)
