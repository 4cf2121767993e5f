"""Files of tensors with a description of what they are, in safetensors, which executes nothing; here: writing them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from seepseg.base.files import write_bytes

# One key holds all metadata: safetensors writes several in an order that changes from process to process.
KEY = "seepseg"


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: what it holds.
        version: of its description and of the names of its tensors.
        remedy: what to do about a file that is none, or a wrong one.
    """

    name: str
    version: int
    remedy: str


def write_tensors(path: Path, kind: Kind, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write a file; the same content gives the same bytes.

    Args:
        path: ends in `.safetensors`.
        kind: of it.
        tensors: by name, on any device.
        description: plain JSON values.

    Raises:
        ValueError: a number in the description is NaN or infinite.
    """
    document = {"kind": kind.name, "version": kind.version, "description": description}
    text = json.dumps(document, sort_keys=True, allow_nan=False)
    # A copy of each, since safetensors refuses tensors that share their memory.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, safetensors.torch.save(copies, metadata={KEY: text}))
