"""Run a network in PyTorch: uint8 faces in, logits out."""

import torch
from torch import Tensor

from fer_train.networks.base import Network
from fer_train.networks.normalization import normalize

BATCH_SIZE = 512


@torch.no_grad()
def predict_logits(network: Network, images: Tensor, amp: bool = False) -> Tensor:
    """Logits float32 [N, classes], on the CPU, of uint8 faces [N, H, W] on the network's device.

    amp: run the network in bfloat16, its classifier in float32. The network is left in evaluation mode.
    """
    network.eval()
    batches = []
    for batch in torch.split(images, BATCH_SIZE):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
            features = network.forward_features(normalize(batch).contiguous(memory_format=torch.channels_last))
        batches.append(network.classifier(features.float()))
    return torch.cat(batches).cpu()
