"""What runs a trained network: torch itself, on a GPU as a graph, or torch's compiler. See docs/inference.md."""

import copy
import itertools
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seepseg.base.device import first_line
from seepseg.detection.proposal import Backend


def prepare(model: nn.Module, backend: Backend, device: torch.device) -> nn.Module:
    """Make the form of a network that predicts fastest; it gives the logits of the original within 1e-4.

    Args:
        model: on `device`; left as it is.
        backend: eager is torch's own kernels; compile a program made for the size of the images it is first given.
        device: where to compute.

    Returns:
        A network in evaluation mode, float32 (N, C_in, H, W) -> logits (N, C, H, W), for any N, H and W; under torch's
        autocast it computes in that precision, and the difference is that of the precision. To be called in torch's
        inference mode.
    """
    folded = fold_batch_norm(model)
    if device.type == "cpu":
        # The CPU's convolutions are up to 1.4 times faster with the channels of a pixel side by side.
        folded = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if backend == "compile":
        return CompiledNetwork(folded)
    return CapturedNetwork(folded) if device.type == "cuda" else folded


def replace_weights(prepared: nn.Module, model: nn.Module) -> None:
    """Let a prepared network compute what another of its kind does; its programs, which take long to make, stay.

    Args:
        prepared: made by `prepare`.
        model: whose weights and batch norms it takes; left as it is.
    """
    runs = prepared.model if isinstance(prepared, ProgramNetwork) else prepared
    runs.load_state_dict(fold_batch_norm(model).state_dict())


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


class ProgramNetwork(nn.Module, ABC):
    """A network as programs made of it; where making one fails, the network as it is, with one line of notice.

    There is a program for each height, width and precision that it meets. A batch smaller than the first of its size,
    such as the last one of a scene, is filled up with zeros, as a program of its own would take longer to make than the
    few tiles take to compute.

    Args:
        model: what to make programs of, in evaluation mode; they read its weights where they lie.

    Attributes:
        falls_back: whether making one has failed.
    """

    kind: ClassVar[str]
    """What fails, for the notice."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.falls_back = False
        self.programs: dict[tuple[torch.Size, torch.dtype], tuple[int, Callable[[Tensor], Tensor]]] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to logits (N, C, H, W)."""
        device, num = images.device.type, len(images)
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        kind = images.shape[1:], precision
        if kind not in self.programs or self.programs[kind][0] < num:
            self.programs[kind] = num, self._program_or_model(images)
        capacity, program = self.programs[kind]
        if num < capacity:
            images = torch.cat([images, images.new_zeros(capacity - num, *images.shape[1:])])
        return program(images)[:num]

    @abstractmethod
    def make_program(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Make what computes images of this shape, on their device and in the precision of the moment."""

    def _program_or_model(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        try:
            return self.make_program(images)
        # That fails in ways without a common class; what is wrong with the model itself shows again later.
        except Exception as error:
            if not self.falls_back:
                print(f"notice: {self.kind} failed, going on with eager: {first_line(error)}", file=sys.stderr)
            self.falls_back = True
            return self.model


class CompiledNetwork(ProgramNetwork):
    """A network compiled by torch."""

    kind = "detect.backend: compile"

    def make_program(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Compile for images of this shape."""
        program: Callable[[Tensor], Tensor] = torch.compile(self.model, dynamic=False)
        program(images)  # torch compiles at the first call
        return program


class CapturedNetwork(ProgramNetwork):
    """A network as CUDA graphs, whose kernels a GPU starts by itself: the host needs longer for that than they run."""

    kind = "CUDA graph of the network"

    def make_program(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Capture for images of this shape."""
        kind, before = images.device.type, torch.cuda.current_stream(images.device)
        given, graph = images.clone(), torch.cuda.CUDAGraph()
        stream = torch.cuda.Stream(images.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(before)
        with (
            # Without its cache, the weights are cast in the graph, and so follow `replace_weights`.
            torch.autocast(
                kind, torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind), cache_enabled=False
            ),
            torch.cuda.stream(stream),  # for the capture as well, which does not leave its stream where it fails
        ):
            self.model(given)  # kernels are chosen and libraries loaded at the first call, which no graph can hold
            with torch.cuda.graph(graph, stream=stream):
                logits: Tensor = self.model(given)
        before.wait_stream(stream)

        def replay(images: Tensor) -> Tensor:
            given.copy_(images)
            graph.replay()
            return logits.clone()  # the next replay writes to the same memory

        return replay
