"""What runs a trained network: torch itself, torch's compiler, or OpenVINO. docs/inference.md compares them."""

import copy
import importlib
import itertools
import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seepseg.base.errors import InputError

Backend = Literal["eager", "compile", "openvino"]

OPENVINO = "openvino==2026.4.1"  # the version of the extra in pyproject.toml
OPENVINO_PRECISION = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


def prepare(model: nn.Module, backend: Backend, device: torch.device, key: str) -> nn.Module:
    """Make the form of a network that predicts fastest; it gives the logits of the original within 1e-4.

    Args:
        model: on `device`; left as it is.
        backend: eager is torch's own kernels, the others a program made for the size of the images they are first
            given. They use as many CPU threads as torch is set to at that time.
        device: where to compute.
        key: the parameter that `backend` comes from, for messages.

    Returns:
        A network in evaluation mode, float32 (N, C_in, H, W) -> logits (N, C, H, W), for any N, H and W; under torch's
        autocast it computes in that precision, and the difference is that of the precision.

    Raises:
        InputError: OpenVINO is not installed, or `device` is none that it computes on.
    """
    folded = fold_batch_norm(model)
    if device.type == "cpu":
        # The CPU's convolutions are up to 1.4 times faster with the channels of a pixel side by side.
        folded = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    match backend:
        case "eager":
            return folded
        case "compile":
            return CompiledNetwork(folded, key)
        case "openvino":
            if device.type != "cpu":
                raise InputError(
                    f"{key}: openvino computes on the CPU, found device '{device.type}'; "
                    f"set {key.rpartition('.')[0]}.device to cpu, or {key} to eager"
                )
            return OpenVinoNetwork(folded, import_openvino(key))


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Copy a network with each batch norm merged into the convolution before it, in evaluation mode.

    gamma (w * x - mean) / sqrt(var + eps) + beta = w' * x + b', with w' = w gamma / sqrt(var + eps) and
    b' = beta - mean gamma / sqrt(var + eps): the same function with one pass less over memory.

    Args:
        model: its batch norms are registered right after the convolutions that they follow; left as it is.

    Returns:
        A network whose batch norms are identities.
    """
    folded = copy.deepcopy(model).eval()
    for parent in folded.modules():
        children = list(parent.named_children())
        for (conv_name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity().eval())
    return folded


def import_openvino(key: str) -> ModuleType:
    """Import the optional package OpenVINO, which otherwise reports each import and conversion to its makers.

    Args:
        key: the parameter that asks for it, for the message.

    Raises:
        InputError: it is not installed.
    """
    # None makes the import of its telemetry package fail, in which case OpenVINO does without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise
        raise InputError(
            f"{key}: openvino is not installed; run `pip install {OPENVINO}`, or set {key} to eager"
        ) from None


def autocast_dtype(device_type: str = "cpu") -> torch.dtype:
    """The precision that torch's autocast asks for on a type of device, float32 where it is off."""
    return torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else torch.float32


class SizedNetwork(nn.Module):
    """A network that runs as programs for fixed shapes, one for each height, width and precision it meets.

    A batch smaller than the first of its size, such as the last one of a split, is filled up with zeros, as a program
    of its own would take longer to make than the few tiles take to compute.

    Args:
        model: what the programs compute, in evaluation mode.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.programs: dict[tuple[torch.Size, torch.dtype], tuple[int, Callable[[Tensor], Tensor]]] = {}

    @abstractmethod
    def make_program(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Make what computes logits for images of the shape of these, (N, C_in, H, W)."""

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to logits (N, C, H, W)."""
        kind, num = (images.shape[1:], autocast_dtype(images.device.type)), len(images)
        if kind not in self.programs or self.programs[kind][0] < num:
            self.programs[kind] = num, self.make_program(images)
        capacity, program = self.programs[kind]
        if num < capacity:
            images = torch.cat([images, images.new_zeros(capacity - num, *images.shape[1:])])
        return program(images)[:num]


class CompiledNetwork(SizedNetwork):
    """A network compiled by torch; where that fails, the network as it is, with one line of notice.

    Args:
        model: what to compile.
        key: the parameter that asks for it, for the notice.

    Attributes:
        falls_back: whether compiling has failed.
    """

    def __init__(self, model: nn.Module, key: str) -> None:
        super().__init__(model)
        self.key = key
        self.falls_back = False

    def make_program(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Compile for images of this shape."""
        program: Callable[[Tensor], Tensor] = torch.compile(self.model, dynamic=False)
        try:
            program(images)  # torch compiles at the first call
        # The compiler fails in ways without a common class; what is wrong with the model itself shows again below.
        except Exception as error:
            cause = next(iter(str(error).splitlines()), "") or type(error).__name__
            if not self.falls_back:
                print(f"notice: {self.key}: compile failed, going on with eager: {cause}", file=sys.stderr)
            self.falls_back = True
            return self.model
        return program


class OpenVinoNetwork(SizedNetwork):
    """A network run by OpenVINO on the CPU, in float32, or in the precision of torch's autocast around the call.

    Args:
        model: what to convert.
        openvino: the package.
    """

    def __init__(self, model: nn.Module, openvino: Any) -> None:
        super().__init__(model)
        self.openvino = openvino

    def make_program(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Convert and compile for images of this shape: a sixth faster than for any shape."""
        # Under autocast the program itself would say where to round; OpenVINO knows better.
        with torch.no_grad(), torch.autocast("cpu", enabled=False), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch's export about itself
            exported = torch.export.export(self.model, (torch.zeros(images.shape),))
            converted = self.openvino.convert_model(exported)
        converted.reshape(list(images.shape))
        config = {
            # By itself OpenVINO takes bfloat16 wherever the CPU has it.
            "INFERENCE_PRECISION_HINT": OPENVINO_PRECISION[autocast_dtype()],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,  # all threads on one batch
        }
        compiled = self.openvino.compile_model(converted, "CPU", config)
        request = compiled.create_infer_request()

        def program(images: Tensor) -> Tensor:
            logits = torch.empty(tuple(compiled.output(0).shape))
            request.set_output_tensor(self.openvino.Tensor(logits.numpy(), shared_memory=True))
            request.infer([images.numpy()], share_inputs=True)
            return logits

        return program
