"""The networks of a model as one ONNX graph: normalisation before them, their mean behind them.

For programs without torch, such as QGIS with its plugin Deepness. It is the networks alone, in one pass over a tile:
what else a `seepseg.detection.detector.Detector` does is left out.
"""

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from seepseg.base.errors import InputError
from seepseg.base.files import write_bytes
from seepseg.data.channels import InputMaker
from seepseg.models.heads import class_probs, foreground_probs
from seepseg.models.network_file import NetworksMeta

OPSET = 17  # of 2022; the newest that torch's tracing exporter writes without a further package is 20
EXAMPLE_SIDE = 33  # pixels of what is traced: odd, so that every network pads it, and padding is in the graph
EPSILON = 1e-6  # probabilities are kept so far away from 0 and 1, as where a detector averages

# What Deepness divides the pixels of every image by; a standard deviation of the inverse undoes that.
DEEPNESS_SCALE = 255


class AveragedNetworks(nn.Module):
    """Several networks as one, from recorded intensity to probabilities.

    p = sigmoid(mean_i log(p_i / (1 - p_i))) is the probability of any class, p_i that of network i. Of it each class
    has its share of the sum of the networks' class probabilities. With one network and head softmax, this is its
    softmax.

    Args:
        networks: on the CPU; set to evaluation mode.
        meta: what belongs to them.
    """

    def __init__(self, networks: Sequence[nn.Module], meta: NetworksMeta) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks).eval()
        self.make_input = InputMaker(meta.input)
        self.head = meta.model.head

    def forward(self, image: Tensor) -> Tensor:
        """Compute probabilities.

        Args:
            image: packed numbers as they are recorded, float32 (N, 1, H, W), 0 where there is no data; any H and W.

        Returns:
            float32 (N, K + 1, H, W), background first; they add up to 1. Without data, it is background.
        """
        valid = image[:, 0] > 0  # (N, H, W); unlike != it leaves out NaN
        given = self.make_input(image, valid)
        logits = [network(given) for network in self.networks]
        foreground = torch.stack([foreground_probs(each, self.head) for each in logits]).clamp(EPSILON, 1 - EPSILON)
        odds = torch.log(foreground / (1 - foreground)).mean(0)  # (N, H, W)
        any_class = (odds.sigmoid() * valid).unsqueeze(1)
        total = torch.stack([class_probs(each, self.head) for each in logits]).sum(0)  # (N, K, H, W)
        shares = total / total.sum(1, keepdim=True).clamp(min=EPSILON**2)
        return torch.cat([1 - any_class, any_class * shares], dim=1)


def export_networks(
    path: Path, networks: Sequence[nn.Module], meta: NetworksMeta, notes: Mapping[str, str], side: int | None = None
) -> None:
    """Write networks as an ONNX file: input `image` and output `probs` as in `AveragedNetworks`.

    Args:
        path: to write; the same networks give the same bytes.
        networks: on the CPU.
        meta: what belongs to them.
        notes: further metadata of the file.
        side: height and width that the graph is bound to, as Deepness needs it; else they are free, as N is.

    Raises:
        InputError: the networks are given a channel that ONNX has no operator for.
    """
    if "lee" in meta.input.channels:
        raise InputError(
            "input.channels: expected networks that are given intensity alone, as ONNX has no quantile for the "
            "speckle filter lee; train such ones for the export"
        )
    graph = _traced(AveragedNetworks(networks, meta))
    if side is not None:
        for value in (*graph.graph.input, *graph.graph.output):
            for dimension in value.type.tensor_type.shape.dim[-2:]:
                dimension.dim_value = side
    onnx.helper.set_model_props(graph, {**deepness_metadata(meta, side), **notes})
    onnx.checker.check_model(graph, full_check=True)
    write_bytes(path, graph.SerializeToString(deterministic=True))


def _traced(networks: AveragedNetworks) -> Any:
    """The graph, of free N, H and W."""
    free = {0: "batch", 2: "height", 3: "width"}
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        # The exporter that has replaced this one needs two packages more. And that the traced example's padding became
        # part of the graph is meant.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean")
        torch.onnx.export(
            networks,
            (torch.rand(2, 1, EXAMPLE_SIDE, EXAMPLE_SIDE) + 1,),
            buffer,  # type: ignore[arg-type] # this exporter takes a stream, too
            dynamo=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["probs"],
            dynamic_axes={"image": free, "probs": free},
        )
    return onnx.load_from_string(buffer.getvalue())


def deepness_metadata(meta: NetworksMeta, side: int | None) -> dict[str, str]:
    """What QGIS's plugin Deepness reads of a model, each as JSON.

    Args:
        meta: of the networks.
        side: of a tile in pixels; None for the tiles of training.
    """
    names = ["background", *meta.class_names]
    tile = side or meta.tile_size
    values: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": {str(number): name for number, name in enumerate(names)},
        "tile_size": tile,  # the plugin reads this name ...
        "tiles_size": tile,  # ... and its documentation tells this one
        "tiles_overlap": 50,  # %: what is at the edge of one tile is in the middle of another, as in detection
        "seg_thresh": 0.0,  # the most probable class, background among them
        "seg_small_segment": 0,
        "standardization_mean": [0.0],
        "standardization_std": [1 / DEEPNESS_SCALE],
    }
    if meta.radiometry.spacing:
        values["resolution"] = round(100 * meta.radiometry.spacing, 1)  # cm a pixel
    return {name: json.dumps(value) for name, value in values.items()}
