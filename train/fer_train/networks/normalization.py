"""Pixel values to network input. Exported graphs compute the same."""

from torch import Tensor

# Networks see (value - MEAN) / STD. Powers of two, so that the exported DequantizeLinear(1/64, 128)
# gives bit-identical numbers.
MEAN = 128.0
STD = 64.0


def normalize(images: Tensor) -> Tensor:
    """uint8 [N, H, W], 0 to 255, to float32 [N, 1, H, W], -2 to 1.98."""
    return ((images.float() - MEAN) / STD).unsqueeze(1)
