"""Name whole slicks from their measurable properties: a small ensemble of neural networks over `slick_features`."""

import itertools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Lt
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from seepseg.errors import InputError
from seepseg.files import write_bytes
from seepseg.params import param_block

VERSION = 1
KEY = "seepseg"
REMEDY = "write it anew with `dvc repro name`"
CLIP = 4.0  # standard deviations; a property farther out than in training tells nothing more
MIN_STD = 1e-6


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
        area_power: times its area to this power: 1 is for pixels, 0 for slicks.
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
    seed: Annotated[int, Ge(0)]


class Ensemble(nn.Module):
    """Perceptrons with two hidden layers of ReLUs, all at once.

    Args:
        members: E.
        inputs: D, properties of a slick.
        hidden: units of each hidden layer.
        outputs: K, classes.
        dropout: of hidden units, in training.
    """

    def __init__(self, members: int, inputs: int, hidden: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = (inputs, hidden, hidden, outputs)
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(members, i, o) * (2 / i) ** 0.5) for i, o in itertools.pairwise(sizes)
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, o)) for o in sizes[1:])
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map standardised properties (E, N, D) to logits (E, N, K)."""
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer < last:
                x = F.dropout(x.relu(), self.dropout, self.training)
        return x


@param_block
class NamerMeta:
    """What belongs to a namer's weights.

    Attributes:
        class_names: names of the K classes, in the order of their target values.
        features: names of the D properties, in the order of the inputs.
        mean: of each property over the slicks of training.
        std: likewise, the standard deviation.
        members: of the ensemble.
        hidden: of its layers.
    """

    class_names: list[str]
    features: list[str]
    mean: list[float]
    std: list[float]
    members: int
    hidden: int


class Namer:
    """Gives each slick a probability of each class.

    Args:
        ensemble: trained.
        meta: what belongs to it.
    """

    def __init__(self, ensemble: Ensemble, meta: NamerMeta) -> None:
        self.ensemble = ensemble.eval()
        self.meta = meta

    def probs(self, measured: pd.DataFrame) -> npt.NDArray[np.float32]:
        """Probabilities of the classes.

        Args:
            measured: n rows, see `seepseg.slick_features.measure_slicks`.

        Returns:
            float32 (n, K), each row adds up to 1.
        """
        x = _standardise(measured[self.meta.features].to_numpy(np.float32), self.meta.mean, self.meta.std)
        with torch.inference_mode():
            logits = self.ensemble(x.expand(self.meta.members, -1, -1))  # (E, n, K)
        probs: npt.NDArray[np.float32] = logits.softmax(2).mean(0).numpy()
        return probs


def fit_namer(
    measured: pd.DataFrame,
    classes: npt.NDArray[np.int64],
    areas: npt.NDArray[np.int64],
    class_names: list[str],
    params: NamingParams,
) -> Namer:
    """Train an ensemble on slicks whose classes are known.

    Args:
        measured: n rows, see `seepseg.slick_features.measure_slicks`.
        classes: int64 (n,), 0..K-1.
        areas: int64 (n,), pixels.
        class_names: the K classes.
        params: section `name`.

    Raises:
        InputError: there is no slick to learn from.
    """
    if not len(measured):
        raise InputError("name: expected slicks in the training split, found none; see data/split.csv")
    values = measured.to_numpy(np.float32)
    mean, std = values.mean(axis=0), np.maximum(values.std(axis=0), MIN_STD)
    meta = NamerMeta(
        class_names=class_names,
        features=[str(name) for name in measured.columns],
        mean=mean.astype(float).tolist(),
        std=std.astype(float).tolist(),
        members=params.members,
        hidden=params.hidden,
    )
    x, target = _standardise(values, meta.mean, meta.std), torch.from_numpy(classes)
    sizes = np.bincount(classes, minlength=len(class_names)).clip(min=1).astype(np.float64)
    weight = torch.from_numpy(sizes[classes] ** -params.class_power * areas.astype(np.float64) ** params.area_power)
    weight = (weight / weight.mean()).float()
    generator = torch.Generator().manual_seed(params.seed)
    torch.manual_seed(params.seed)  # of the first weights and of dropout
    ensemble = Ensemble(params.members, x.shape[1], params.hidden, len(class_names), params.dropout)
    optimizer = torch.optim.AdamW(ensemble.parameters(), lr=params.lr, weight_decay=params.weight_decay, fused=True)
    steps = params.epochs * -(-len(x) // params.batch_size)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    shape = (params.members, params.batch_size)
    for _ in range(steps):
        drawn = torch.randint(len(x), shape, generator=generator)
        inputs = x[drawn] + params.noise * torch.randn(*shape, x.shape[1], generator=generator)
        losses = F.cross_entropy(ensemble(inputs).flatten(0, 1), target[drawn].flatten(), reduction="none")
        optimizer.zero_grad(set_to_none=True)
        (losses * weight[drawn].flatten()).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return Namer(ensemble, meta)


def save_namer(path: Path, namer: Namer) -> None:
    """Write a namer as safetensors, which executes nothing; the same namer gives the same bytes."""
    text = json.dumps({"version": VERSION, **asdict(namer.meta)}, sort_keys=True, allow_nan=False)
    tensors = {name: tensor.detach().contiguous() for name, tensor in namer.ensemble.state_dict().items()}
    write_bytes(path, safetensors.torch.save(tensors, metadata={KEY: text}))


def load_namer(path: Path) -> Namer:
    """Read a namer.

    Raises:
        InputError: the file is missing, damaged, or not a namer of this program and version.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: {REMEDY}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            document = json.loads((file.metadata() or {})[KEY])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        if document.pop("version") != VERSION:
            raise ValueError("another version")
        meta = TypeAdapter(NamerMeta).validate_json(json.dumps(document), strict=True)
        ensemble = Ensemble(meta.members, len(meta.features), meta.hidden, len(meta.class_names))
        ensemble.load_state_dict(state)
    except (safetensors.SafetensorError, ValidationError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: expected a namer of slicks, found another or a damaged file ({reason}); {REMEDY}"
        ) from None
    return Namer(ensemble, meta)


def _standardise(values: npt.NDArray[np.float32], mean: list[float], std: list[float]) -> Tensor:
    scaled = (values - np.array(mean, np.float32)) / np.array(std, np.float32)
    return torch.from_numpy(scaled.clip(-CLIP, CLIP))
