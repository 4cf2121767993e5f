"""What the channels of a model's output mean: probabilities, and the class of each pixel."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Head = Literal["softmax", "sigmoid"]
"""softmax: background and the K classes exclude each other. sigmoid: one channel for each of the K classes."""


def class_probs(logits: Tensor, head: Head) -> Tensor:
    """Probability of each class, without background.

    Args:
        logits: (N, C, H, W), C = K + 1 with background first for softmax, K for sigmoid.
        head: what the channels mean.

    Returns:
        float32 (N, K, H, W). From a sigmoid head they need not add up to less than 1.
    """
    logits = logits.float()
    return logits.softmax(1)[:, 1:] if head == "softmax" else logits.sigmoid()


def foreground_probs(logits: Tensor, head: Head) -> Tensor:
    """Probability of any class, 1 - p(background).

    Args:
        logits: (N, C, H, W), as in `class_probs`.
        head: what the channels mean; of sigmoid channels, which know nothing of each other, 1 - prod_c (1 - p_c).

    Returns:
        float32 (N, H, W).
    """
    logits = logits.float()
    return 1 - (logits.softmax(1)[:, 0] if head == "softmax" else F.logsigmoid(-logits).sum(1).exp())


def predicted_classes(logits: Tensor, head: Head, valid: Tensor) -> Tensor:
    """The most probable class of each pixel.

    A sigmoid head has no channel for background; it wins where no class reaches a probability of 0.5, that is where
    all logits are below 0.

    Args:
        logits: (N, C, H, W).
        head: what the channels mean.
        valid: bool (N, H, W); elsewhere it is background.

    Returns:
        int64 (N, H, W), 0 is background, 1..K are the classes.
    """
    if head == "sigmoid":
        logits = F.pad(logits, (0, 0, 0, 0, 1, 0))
    return logits.max(1).indices * valid  # argmax itself is ten times slower on a CPU
