"""Judge whole slicks by their properties: which class one is, and whether it is a slick or a look-alike.

Small ensembles of neural networks learn that from the slicks that segmentation networks outline in scenes that they
never saw, and from the annotated ones. There is one namer for each part of the training tiles, blind to that part, as
there is one network, see `seepseg.data.packed.read_parts`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from seepseg.base.errors import InputError
from seepseg.base.params import param_block
from seepseg.base.tensor_file import Kind, open_tensors, write_tensors
from seepseg.data.packed import PIXELS

NAMERS = Kind("namers", 3, "write it anew with `dvc repro name`")
CLIP = 4.0  # standard deviations; a property farther out than in training tells nothing more
MIN_STD = 1e-6
SLICK = ["scene", "slick"]  # columns that say which slick a row is of


@param_block
class NamingParams:
    """Section `name` of params.yaml.

    Attributes:
        members: networks whose probabilities are averaged.
        hidden: units of each of the two hidden layers.
        epochs: passes over the slicks.
        batch_size: slicks a step, drawn for each member apart.
        lr: of AdamW at the start; it falls to 0 in a straight line.
        weight_decay: of AdamW.
        dropout: share of hidden units that are left out at random.
        noise: standard deviation of what is added to each property, in its standard deviations.
        class_power: a slick weighs its class's number of slicks to minus this power.
        area_power: times its area to this power: 1 is for pixels, 0 for slicks. So weighs, without the class, the share
            of an outline that is annotated.
        recurrence: whether a slick is also judged by what was annotated at its place in other training scenes.
        seed: of the first weights and of all draws.
    """

    members: Annotated[int, Ge(1)]
    hidden: Annotated[int, Ge(1)]
    epochs: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    lr: Annotated[float, Gt(0), Le(1)]
    weight_decay: Annotated[float, Ge(0), Le(1)]
    dropout: Annotated[float, Ge(0), Lt(1)]
    noise: Annotated[float, Ge(0)]
    class_power: Annotated[float, Ge(0), Le(1)]
    area_power: Annotated[float, Ge(0), Le(1)]
    recurrence: bool
    seed: Annotated[int, Ge(0)]


class Ensemble(nn.Module):
    """Perceptrons with two hidden layers of ReLUs, all at once, whose probabilities are averaged.

    Args:
        members: E.
        inputs: D, properties of a slick.
        hidden: units of each hidden layer.
        outputs: K, classes.
        dropout: of hidden units, in training.

    Attributes:
        mean: float32 (D,), of each property over the slicks of training.
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
        """Properties (N, D) in standard deviations from their means."""
        return ((values - self.mean) / self.std).clamp(-CLIP, CLIP)

    @torch.inference_mode()
    def probs(self, values: Tensor) -> npt.NDArray[np.float64]:
        """Probabilities of the classes, float64 (N, K), from properties (N, D)."""
        logits = self(self.standardise(values).expand(len(self.weights[0]), -1, -1))  # (E, N, K)
        probs: npt.NDArray[np.float64] = logits.softmax(2).mean(0).double().numpy()
        return probs

    def forward(self, x: Tensor) -> Tensor:
        """Map standardised properties (E, N, D) to logits (E, N, K)."""
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer < last:
                x = F.dropout(x.relu(), self.dropout, self.training)
        return x


@param_block
class NamersMeta:
    """What belongs to the weights of namers.

    Attributes:
        class_names: names of the K classes, in the order of their target values.
        features: names of the D properties, in the order of the inputs.
        namers: how many there are, each blind to the part that has its number.
        members: of each ensemble.
        hidden: of its layers.
    """

    class_names: list[str]
    features: list[str]
    namers: Annotated[int, Ge(1)]
    members: Annotated[int, Ge(1)]
    hidden: Annotated[int, Ge(1)]


@dataclass(frozen=True)
class Judgement:
    """What is thought of n outlined slicks.

    Attributes:
        classes: float64 (n, K), the probability of each class, if it is a slick.
        found: float64 (n,), the probability that the outline matches an annotated slick.
        share: float64 (n,), the share of its pixels that are expected to be annotated.
    """

    classes: npt.NDArray[np.float64]
    found: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]


class Namer(nn.Module):
    """Judges slicks by their properties.

    Args:
        meta: how to build it.
        dropout: in training.
    """

    def __init__(self, meta: NamersMeta, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = meta.features
        self.classes, self.found, self.share = (
            Ensemble(meta.members, len(meta.features), meta.hidden, outputs, dropout)
            for outputs in (len(meta.class_names), 2, 2)
        )
        self.eval()

    def judge(self, measured: pd.DataFrame) -> Judgement:
        """Judge slicks.

        Args:
            measured: n rows, see `seepseg.detection.candidates.slick_table`; further columns are ignored.
        """
        values = _values(measured, self.features)
        return Judgement(self.classes.probs(values), self.found.probs(values)[:, 1], self.share.probs(values)[:, 1])


def fit_namer(
    annotated: pd.DataFrame, outlined: pd.DataFrame, meta: NamersMeta, params: NamingParams, min_iou: float
) -> Namer:
    """Learn to judge slicks.

    Args:
        annotated: rows of `seepseg.detection.candidates.slick_table`, of annotated slicks: what classes look like.
        outlined: likewise, of those that networks outline: what look-alikes look like. Without any, only classes are
            learnt.
        meta: what to build.
        params: section `name`.
        min_iou: with an annotated slick, from which an outline matches it.

    Raises:
        InputError: there is no annotated slick to learn from.
    """
    if not len(annotated):
        raise InputError("name: expected annotated slicks in the training tiles, found none; see data/split.csv")
    torch.manual_seed(params.seed)  # of the first weights and of dropout
    namer = Namer(meta, params.dropout)
    generator = torch.Generator().manual_seed(params.seed)

    pixels = annotated[[PIXELS + name for name in meta.class_names]].to_numpy(np.float64)
    classes = pixels.argmax(axis=1)
    sizes = np.bincount(classes, minlength=pixels.shape[1]).clip(min=1).astype(np.float64)
    weight = sizes[classes] ** -params.class_power * pixels.sum(axis=1) ** params.area_power
    _fit(namer.classes, _values(annotated, meta.features), np.eye(pixels.shape[1])[classes], weight, params, generator)

    if not len(outlined):
        return namer
    values, areas = _values(outlined, meta.features), outlined["area"].to_numpy(np.float64)
    found = (outlined["iou"] >= min_iou).to_numpy(np.float64)
    share = outlined[[PIXELS + name for name in meta.class_names]].to_numpy(np.float64).sum(axis=1) / areas
    _fit(namer.found, values, _either(found), np.ones(len(values)), params, generator)
    _fit(namer.share, values, _either(share), areas**params.area_power, params, generator)
    return namer


def _either(yes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities (n,) as those of no and yes, (n, 2)."""
    return np.stack([1 - yes, yes], axis=1)


def _values(table: pd.DataFrame, features: list[str]) -> Tensor:
    return torch.from_numpy(table[features].to_numpy(np.float32, copy=True))


def _fit(
    ensemble: Ensemble,
    values: Tensor,
    target: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    params: NamingParams,
    generator: torch.Generator,
) -> None:
    """Train an ensemble on properties (n, D), probabilities of the outputs (n, O) and weights (n,)."""
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


def judge_all(namers: Sequence[Namer], table: pd.DataFrame) -> Judgement:
    """Judge each slick of a table by what the namers say, each of the rows of the network with its number.

    A slick that several networks have seen has a row for each: the mean of what is said of them counts.

    Args:
        namers: each blind to a part.
        table: rows of `seepseg.detection.candidates.slick_table`, sorted by slick, see there.

    Returns:
        Of each slick, in the order of the table.
    """
    numbers = table.groupby(SLICK, sort=False).ngroup().to_numpy()
    networks, n = table["network"].to_numpy(), len(table.drop_duplicates(SLICK))
    rows = np.bincount(numbers, minlength=n)
    sums = [np.zeros((n, namers[0].classes.biases[-1].shape[-1])), np.zeros(n), np.zeros(n)]
    for network, namer in enumerate(namers):
        chosen = networks == network
        said = namer.judge(table[chosen])
        for total, values in zip(sums, (said.classes, said.found, said.share), strict=True):
            np.add.at(total, numbers[chosen], values)
    classes, found, share = (total / rows.reshape(-1, *[1] * (total.ndim - 1)) for total in sums)
    return Judgement(classes, found, share)


def save_namers(path: Path, namers: Sequence[Namer], meta: NamersMeta) -> None:
    """Write namers; the same namers give the same bytes."""
    write_tensors(path, NAMERS, nn.ModuleList(namers).state_dict(), asdict(meta))


def load_namers(path: Path) -> tuple[list[Namer], NamersMeta]:
    """Read namers.

    Raises:
        InputError: the file is missing, damaged, of another kind or version, or not what it says of itself.
    """
    with open_tensors(path, NAMERS) as file:
        meta = file.parse(NamersMeta)
        file.check_count("namers", meta.namers)
        namers: Any = file.read_module(lambda: build_namers(meta))
        return list(namers), meta


def build_namers(meta: NamersMeta) -> nn.ModuleList:
    """The namers, with any weights."""
    return nn.ModuleList(Namer(meta) for _ in range(meta.namers))
