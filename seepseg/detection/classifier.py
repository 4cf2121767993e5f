"""The slick classifier: from features of a whole slick to its class, and whether it is a slick or a look-alike.

Small ensembles of neural networks learn that from candidates in scenes that the segmentation networks were not trained
on, and from annotated slicks. There is one classifier for each inner fold, fitted without the slicks of that fold, as
there is one network: what both say of that fold is out of fold.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from seepseg.base.errors import InputError
from seepseg.base.params import param_block
from seepseg.data.packed import PIXELS
from seepseg.detection.slick_table import SLICK

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


@param_block
class ClassifierMeta:
    """What belongs to the weights of slick classifiers.

    Attributes:
        class_names: names of the K classes, in the order of their target values.
        features: names of the D features, in the order of the inputs.
        classifiers: how many there are, each fitted without the slicks of the inner fold of its number.
        members: of each ensemble.
        hidden: of its layers.
    """

    class_names: list[str]
    features: list[str]
    classifiers: Annotated[int, Ge(1)]
    members: Annotated[int, Ge(1)]
    hidden: Annotated[int, Ge(1)]


@dataclass(frozen=True)
class SlickProbs:
    """The probabilities of n slicks.

    Attributes:
        classes: float64 (n, K), of each class, if it is a slick.
        p_slick: float64 (n,), that it matches an annotated slick.
        pixel_precision: float64 (n,), expected share of its pixels that are annotated.
    """

    classes: npt.NDArray[np.float64]
    p_slick: npt.NDArray[np.float64]
    pixel_precision: npt.NDArray[np.float64]


class SlickClassifier(nn.Module):
    """Gives slicks their probabilities, by their features.

    Args:
        meta: how to build it.
        dropout: in training.
    """

    def __init__(self, meta: ClassifierMeta, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = meta.features
        self.classes, self.p_slick, self.pixel_precision = (
            Ensemble(meta.members, len(meta.features), meta.hidden, outputs, dropout)
            for outputs in (len(meta.class_names), 2, 2)
        )
        self.eval()

    def probs(self, table: pd.DataFrame) -> SlickProbs:
        """The probabilities of slicks.

        Args:
            table: n rows, see `seepseg.detection.features.slick_features`; further columns are ignored.

        Raises:
            InputError: the classifier was fitted with features that this version does not measure.
        """
        if absent := [name for name in self.features if name not in table.columns]:
            raise InputError(
                f"the model's slick classifier needs features that are not measured here: {', '.join(absent)}; "
                "use the version of the program that wrote the model, or train anew with `dvc repro`"
            )
        values = _values(table, self.features)
        return SlickProbs(
            self.classes.probs(values), self.p_slick.probs(values)[:, 1], self.pixel_precision.probs(values)[:, 1]
        )


def fit_classifier(
    annotated: pd.DataFrame, candidates: pd.DataFrame, meta: ClassifierMeta, params: ClassifierParams, min_iou: float
) -> SlickClassifier:
    """Learn to classify slicks.

    Args:
        annotated: rows of features, and of `seepseg.detection.matching.match_slicks`, of annotated slicks: what classes
            look like.
        candidates: likewise, of candidates: what look-alikes look like. Without any, only classes are learnt.
        meta: what to build.
        params: section `classify`.
        min_iou: with an annotated slick, from which a candidate matches it.

    Raises:
        InputError: there is no annotated slick to learn from.
    """
    if not len(annotated):
        raise InputError(
            "classify: expected annotated slicks in training tiles, found none; name fewer scenes in split.test_scenes"
        )
    torch.manual_seed(params.seed)  # of the first weights and of dropout
    classifier = SlickClassifier(meta, params.dropout)
    generator = torch.Generator().manual_seed(params.seed)

    pixels = annotated[[PIXELS + name for name in meta.class_names]].to_numpy(np.float64)
    classes = pixels.argmax(axis=1)
    sizes = np.bincount(classes, minlength=pixels.shape[1]).clip(min=1).astype(np.float64)
    weight = sizes[classes] ** -params.inverse_frequency_exponent * pixels.sum(axis=1) ** params.area_exponent
    one_hot = np.eye(pixels.shape[1])[classes]
    _fit(classifier.classes, _values(annotated, meta.features), one_hot, weight, params, generator)

    if not len(candidates):
        return classifier
    values, areas = _values(candidates, meta.features), candidates["area"].to_numpy(np.float64)
    matches = (candidates["iou"] >= min_iou).to_numpy(np.float64)
    share = candidates[[PIXELS + name for name in meta.class_names]].to_numpy(np.float64).sum(axis=1) / areas
    _fit(classifier.p_slick, values, _no_and_yes(matches), np.ones(len(values)), params, generator)
    _fit(classifier.pixel_precision, values, _no_and_yes(share), areas**params.area_exponent, params, generator)
    return classifier


def _no_and_yes(yes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities (n,) as those of no and yes, (n, 2)."""
    return np.stack([1 - yes, yes], axis=1)


def _values(table: pd.DataFrame, features: list[str]) -> Tensor:
    return torch.from_numpy(table[features].to_numpy(np.float32, copy=True))


def _fit(
    ensemble: Ensemble,
    values: Tensor,
    target: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    params: ClassifierParams,
    generator: torch.Generator,
) -> None:
    """Train an ensemble on features (n, D), probabilities of the outputs (n, O) and weights (n,)."""
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


def average_probs(classifiers: Sequence[SlickClassifier], table: pd.DataFrame) -> SlickProbs:
    """The probabilities of each slick of a table, each row by the classifier of its network's number.

    A slick that several networks have seen has a row for each, and gets the mean of their probabilities.

    Args:
        classifiers: of the inner folds.
        table: rows of features with a column `scene`, sorted by slick.

    Returns:
        Of each slick, in the order of the table.
    """
    numbers = table.groupby(SLICK, sort=False).ngroup().to_numpy()
    networks, n = table["network"].to_numpy(), len(table.drop_duplicates(SLICK))
    rows = np.bincount(numbers, minlength=n)
    sums = [np.zeros((n, classifiers[0].classes.biases[-1].shape[-1])), np.zeros(n), np.zeros(n)]
    for network, classifier in enumerate(classifiers):
        chosen = networks == network
        probs = classifier.probs(table[chosen])
        for total, values in zip(sums, (probs.classes, probs.p_slick, probs.pixel_precision), strict=True):
            np.add.at(total, numbers[chosen], values)
    return SlickProbs(*(total / rows.reshape(-1, *[1] * (total.ndim - 1)) for total in sums))


def build_classifiers(meta: ClassifierMeta) -> nn.ModuleList:
    """The classifiers, with any weights."""
    return nn.ModuleList(SlickClassifier(meta) for _ in range(meta.classifiers))
