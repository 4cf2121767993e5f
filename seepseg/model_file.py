"""Model files: weights, and all that is needed to use them, in one safetensors file that executes nothing."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

import safetensors
import safetensors.torch
import torch
from annotated_types import Ge
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from seepseg.errors import InputError
from seepseg.files import write_bytes
from seepseg.inputs import InputSpec
from seepseg.models import ModelParams, build_model
from seepseg.params import param_block

VERSION = 3
# One key holds all metadata: safetensors writes several in an order that changes from process to process.
KEY = "seepseg"
REMEDY = "write it anew with `dvc repro train`"


@param_block
class ModelMeta:
    """What belongs to a model's weights.

    Attributes:
        model: how to build each network.
        networks: how many there are; what they say is averaged. None of them saw the part of the training tiles that
            has its number, see `seepseg.packed.read_parts`.
        class_names: names of the K classes, in the order of their target values, without background.
        input: what the networks are given of a tile.
        data_fingerprint: says which data it was trained on.
        info: anything else worth keeping; plain JSON values.
    """

    model: ModelParams
    networks: Annotated[int, Ge(1)]
    class_names: list[str]
    input: InputSpec
    data_fingerprint: str
    info: dict[str, Any] = field(default_factory=dict)


def save_model(path: Path, states: Sequence[Mapping[str, Tensor]], metadata: ModelMeta) -> None:
    """Write a model file; the same content gives the same bytes.

    Args:
        path: ends in `.safetensors`.
        states: the state dict of each network, on any device.
        metadata: what belongs to it.

    Raises:
        ValueError: a number in the metadata is NaN or infinite.
    """
    document = {"version": VERSION, **dataclasses.asdict(metadata)}
    text = json.dumps(document, sort_keys=True, allow_nan=False)
    tensors = {
        f"{number}.{name}": tensor.detach().cpu().contiguous()
        for number, state in enumerate(states)
        for name, tensor in state.items()
    }
    write_bytes(path, safetensors.torch.save(tensors, metadata={KEY: text}))


def read_model(path: Path) -> tuple[dict[str, Tensor], ModelMeta]:
    """Read a model file.

    Args:
        path: as written by `save_model`.

    Returns:
        The weights by name, on the CPU, and what belongs to them; a name starts with the network's number and a dot.

    Raises:
        InputError: the file is missing, damaged, or not a model of this program and version.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: {REMEDY}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path}: expected a safetensors file, found another or a damaged one ({error}); {REMEDY}"
        ) from None
    if text is None:
        raise InputError(f"{path}: expected a model of this program, found no '{KEY}' in its metadata; {REMEDY}")
    return state, _parse(text, path)


def load_model(path: Path) -> tuple[nn.ModuleList, ModelMeta]:
    """Read a model file and build its networks.

    Args:
        path: as written by `save_model`.

    Returns:
        The networks, on the CPU in evaluation mode, and what belongs to them.

    Raises:
        InputError: as `read_model`, or the weights don't fit the networks that the file describes.
    """
    state, meta = read_model(path)
    if meta.networks > len(state):  # before so many are built
        raise InputError(f"{path}: expected {meta.networks} networks, found {len(state)} tensors; {REMEDY}")
    params = dataclasses.replace(meta.model, encoder_weights=None)
    with torch.device("meta"):  # no weights are drawn, only to be replaced
        model = nn.ModuleList(
            build_model(params, meta.input.channels, num_classes=len(meta.class_names) + 1)
            for _ in range(meta.networks)
        )
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    faults = [
        f"{name}: expected {expected.get(name, 'no such tensor')}, found {found.get(name, 'none')}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(f"{path}: the weights don't fit the model; {'; '.join(faults[:3])}{more}; {REMEDY}")
    model.to_empty(device="cpu")
    model.load_state_dict(state)
    return model.eval(), meta


def check_classes(path: Path, found: list[str], expected: list[str], stage: str) -> None:
    """Refuse a file made for other classes than those of the data.

    Raises:
        InputError: the names or their order differ; it says to run `stage`.
    """
    if found != expected:
        raise InputError(f"{path}: expected the classes {expected}, found {found}; run `dvc repro {stage}`")


def _parse(text: str, path: Path) -> ModelMeta:
    """Check the metadata, version first, as another version may have other keys."""
    try:
        document = json.loads(text)
        version = document.pop("version")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise InputError(f"{path}: expected metadata with a version, found {text[:80]!r}; {REMEDY}") from None
    if version != VERSION:
        raise InputError(f"{path}: expected a model file of version {VERSION}, found {version!r}; {REMEDY}")
    try:
        return TypeAdapter(ModelMeta).validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"])) or "metadata"
        raise InputError(f"{path}: {where} is not as expected: {fault['msg']}; {REMEDY}") from None
