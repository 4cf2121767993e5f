"""A trained network and a namer, checked against the data, that predict scene after scene."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from seepseg.backends import Backend, prepare
from seepseg.checkpoint import CheckpointMeta, check_classes, load_model
from seepseg.inference import Flips, SceneProbs, predict_scene
from seepseg.naming import Namer, load_namer
from seepseg.packed import Packed
from seepseg.scenes import Scene

MODEL = Path("models/model.safetensors")
NAMER = Path("models/namer.safetensors")


@dataclass(frozen=True)
class Predictor:
    """What gives probabilities to the tiles of a data set.

    Attributes:
        packed: the tiles.
        network: on `device`, in evaluation mode.
        meta: what belongs to its weights.
        namer: names slicks by their properties; None where they are named without.
        device: where to compute.
    """

    packed: Packed
    network: nn.Module
    meta: CheckpointMeta
    namer: Namer | None
    device: torch.device

    def predict(self, scene: Scene, batch_size: int, dtype: torch.dtype | None, flips: Flips) -> SceneProbs:
        """Run the network over the tiles of a scene, see `seepseg.inference.predict_scene`."""
        return predict_scene(
            self.network,
            self.packed,
            scene,
            head=self.meta.model.head,
            batch_size=batch_size,
            device=self.device,
            normalization=self.meta.normalization,
            dtype=dtype,
            flips=flips,
        )


def load_predictor(packed: Packed, device: torch.device, *, with_namer: bool, backend: Backend, key: str) -> Predictor:
    """Load the network, and the namer where one is needed.

    Args:
        packed: the tiles to predict.
        device: where to compute.
        with_namer: whether slicks are named by their properties.
        backend: see `seepseg.backends.prepare`.
        key: the parameter that `backend` comes from, for messages.

    Raises:
        InputError: a file is missing, damaged or for other classes than those of the tiles, or see `prepare`.
    """
    model, meta = load_model(MODEL)
    check_classes(MODEL, meta.class_names, packed.class_names, "train")
    namer = None
    if with_namer:
        namer = load_namer(NAMER)
        check_classes(NAMER, namer.meta.class_names, packed.class_names, "name")
    return Predictor(packed, prepare(model.to(device), backend, device, key), meta, namer, device)
