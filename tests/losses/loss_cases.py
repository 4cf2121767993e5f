"""What the tests of losses share: settings, a tile to compute on by hand, and random batches."""

import json
import math

import torch
from pydantic import TypeAdapter

from seepseg.losses import LOSSES, SOFTMAX_ONLY, LossParams, build_loss

# Where the defaults would hide a part of a loss.
SETTINGS = {
    "binary_dice_weight": 0.0,
    "topk": {"fraction": 0.5},
    "sensitivity_specificity": {"sensitivity": 0.5},
    "boundary": {"region_weight": 0.5},
}
BOTH_HEADS = [name for name in LOSSES if name not in SOFTMAX_ONLY]
EVERY = [(name, "softmax") for name in LOSSES] + [(name, "sigmoid") for name in BOTH_HEADS]
OVERLAP = [
    "dice",
    "generalized_dice",
    "iou",
    "lovasz",
    "tversky",
    "focal_tversky",
    "asymmetric_similarity",
    "penalty_generalized_dice",
    "sensitivity_specificity",
]

# Four pixels in a row, two classes: probabilities of background, class 1 and class 2.
PROBS = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.8, 0.2, 0.5, 0.5], [0.1, 0.6, 0.2, 0.1]]).view(1, 3, 1, 4)
# Class 1: TP 0.8, FP 1.2, FN 0.2. Class 2: TP 0.6, FP 0.4, FN 0.4. Together: TP 1.4, FP 1.6, FN 0.6.
TARGET = torch.tensor([1, 2, 0, 0]).view(1, 1, 4)
# Class 1 as above. Class 2, now of two pixels: TP 0.8, FP 0.2, FN 1.2. Together: TP 1.6, FP 1.4, FN 1.4.
LARGER = torch.tensor([1, 2, 2, 0]).view(1, 1, 4)

WEIGHTS = {"balanced": torch.tensor([1.0, 2.0, 4.0]), "sqrt_balanced": torch.tensor([1.0, 1.0, 3.0])}
# For MONAI, which adds its smoothing to 2 TP and 2 TP + FP + FN in Dice: twice that of the Tversky index.
MONAI = {"include_background": False, "to_onehot_y": True, "softmax": True, "batch": True}


def make_params(**changes):
    """The defaults with SETTINGS, and with some blocks or keys of blocks changed."""
    blocks = {key: SETTINGS.get(key, {}) | value for key, value in changes.items() if isinstance(value, dict)}
    return TypeAdapter(LossParams).validate_json(json.dumps(SETTINGS | changes | blocks))


def loss_of(name, logits, target, *, head="softmax", valid=None, weights=None, **changes):
    valid = torch.ones_like(target, dtype=torch.bool) if valid is None else valid
    return build_loss(name, make_params(**changes), head, weights or {})(logits, target, valid)


def by_hand(name, target=TARGET, head="softmax", **changes):
    """The loss of PROBS."""
    logits = PROBS.log() if head == "softmax" else torch.logit(PROBS[:, 1:])
    return loss_of(name, logits, target, head=head, **changes).item()


def random_batch(head="softmax", classes=3, dtype=torch.float32, size=8):
    generator = torch.Generator().manual_seed(1)
    channels = classes + (head == "softmax")
    logits = torch.randn(2, channels, size, size, generator=generator, dtype=dtype)
    target = torch.randint(0, classes + 1, (2, size, size), generator=generator)
    valid = torch.rand(2, size, size, generator=generator) > 0.2
    return logits, target, valid


def uniform_weights(classes=3):
    return {"balanced": torch.ones(classes + 1), "sqrt_balanced": torch.ones(classes + 1)}


def log_mean(*probs):
    return -sum(math.log(p) for p in probs) / len(probs)
