"""Small ensembles of neural networks that take features of slicks to probabilities."""

import itertools
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from seepseg.base.params import param_block

CLIP = 4.0  # standard deviations; a feature farther out than in training tells nothing more
MIN_STD = 1e-6


@param_block
class ClassifierParams:
    """The slick classifier: small ensembles of neural networks on the features of slicks."""

    members: Annotated[int, Ge(1)] = 16
    """networks of an ensemble, whose probabilities are averaged"""
    hidden: Annotated[int, Ge(1)] = 32
    """units of each of the two hidden layers"""
    epochs: Annotated[int, Ge(1)] = 150
    """passes over the slicks"""
    batch_size: Annotated[int, Ge(1)] = 64
    """slicks a step, drawn for each member apart"""
    lr: Annotated[float, Gt(0), Le(1)] = 3.0e-3
    """of AdamW at the start; it falls to 0 in a straight line"""
    weight_decay: Annotated[float, Ge(0), Le(1)] = 3.0e-2
    """of AdamW"""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.3
    """share of hidden units that are left out at random"""
    noise: Annotated[float, Ge(0)] = 0.1
    """standard deviation of what is added to each feature, in its standard deviations"""
    inverse_frequency_exponent: Annotated[float, Ge(0), Le(1)] = 0.7
    """a slick weighs the number of slicks of its class to minus this power ..."""
    area_exponent: Annotated[float, Ge(0), Le(1)] = 0.5
    """... times its area to this power: 1 counts pixels, 0 slicks"""
    seed: Annotated[int, Ge(0)] = 1
    """of the first weights and of all draws"""


class Ensemble(nn.Module):
    """Perceptrons with two hidden layers of ReLUs, all at once, whose probabilities are averaged.

    Args:
        members: E.
        inputs: D, features of a slick.
        hidden: units of each hidden layer.
        outputs: K, classes.
        dropout: of hidden units, in training.

    Attributes:
        mean: float32 (D,), of each feature over the slicks of training.
        std: likewise, the standard deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, members: int, inputs: int, hidden: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = (inputs, hidden, hidden, outputs)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(members, i, o) * (2 / i) ** 0.5) for i, o in itertools.pairwise(sizes)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, o)) for o in sizes[1:])
        self.dropout = dropout
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))

    def standardise(self, values: Tensor) -> Tensor:
        """Features (N, D) in standard deviations from their means."""
        return ((values - self.mean) / self.std).clamp(-CLIP, CLIP)

    @torch.inference_mode()
    def probs(self, values: Tensor) -> npt.NDArray[np.float64]:
        """Probabilities of the classes, float64 (N, K), from features (N, D)."""
        logits = self(self.standardise(values).expand(len(self.weights[0]), -1, -1))  # (E, N, K)
        probs: npt.NDArray[np.float64] = logits.softmax(2).mean(0).double().numpy()
        return probs

    def forward(self, x: Tensor) -> Tensor:
        """Map standardised features (E, N, D) to logits (E, N, K)."""
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer < last:
                x = F.dropout(x.relu(), self.dropout, self.training)
        return x


def fit_ensemble(
    ensemble: Ensemble,
    values: Tensor,
    target: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    params: ClassifierParams,
    generator: torch.Generator,
) -> None:
    """Train an ensemble.

    Args:
        ensemble: with its first weights.
        values: float32 (n, D), features of slicks.
        target: float64 (n, O), probabilities of the outputs.
        weight: float64 (n,), how much each slick counts.
        params: section `classify`.
        generator: of all draws but for dropout, which torch's own one draws.
    """
    ensemble.mean.copy_(values.mean(0))
    ensemble.std.copy_(values.std(0, correction=0).clamp(min=MIN_STD))
    x, y, w = ensemble.standardise(values), torch.from_numpy(target).float(), torch.from_numpy(weight / weight.mean())
    optimizer = torch.optim.AdamW(ensemble.parameters(), lr=params.lr, weight_decay=params.weight_decay, fused=True)
    steps = params.epochs * -(-len(x) // params.batch_size)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    shape = (params.members, params.batch_size)
    ensemble.train()
    for _ in range(steps):
        drawn = torch.randint(len(x), shape, generator=generator)
        inputs = x[drawn] + params.noise * torch.randn(*shape, x.shape[1], generator=generator)
        losses = F.cross_entropy(ensemble(inputs).flatten(0, 1), y[drawn].flatten(0, 1), reduction="none")
        optimizer.zero_grad(set_to_none=True)
        (losses * w[drawn].flatten().float()).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    ensemble.eval()
