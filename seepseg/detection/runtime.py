"""What runs a trained network: torch itself, or torch's compiler. docs/inference.md compares them."""

import copy
import itertools
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seepseg.detection.proposal import Backend


def prepare(model: nn.Module, backend: Backend, device: torch.device) -> nn.Module:
    """Make the form of a network that predicts fastest; it gives the logits of the original within 1e-4.

    Args:
        model: on `device`; left as it is.
        backend: eager is torch's own kernels; compile a program made for the size of the images it is first given.
        device: where to compute.

    Returns:
        A network in evaluation mode, float32 (N, C_in, H, W) -> logits (N, C, H, W), for any N, H and W; under torch's
        autocast it computes in that precision, and the difference is that of the precision.
    """
    folded = fold_batch_norm(model)
    if device.type == "cpu":
        # The CPU's convolutions are up to 1.4 times faster with the channels of a pixel side by side.
        folded = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return folded if backend == "eager" else CompiledNetwork(folded)


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


class CompiledNetwork(nn.Module):
    """A network compiled by torch; where that fails, the network as it is, with one line of notice.

    There is a program for each height, width and precision that it meets. A batch smaller than the first of its size,
    such as the last one of a scene, is filled up with zeros, as a program of its own would take longer to make than the
    few tiles take to compute.

    Args:
        model: what to compile, in evaluation mode.

    Attributes:
        falls_back: whether compiling has failed.
    """

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
            self.programs[kind] = num, self.make_program(images)
        capacity, program = self.programs[kind]
        if num < capacity:
            images = torch.cat([images, images.new_zeros(capacity - num, *images.shape[1:])])
        return program(images)[:num]

    def make_program(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Compile for images of this shape."""
        program: Callable[[Tensor], Tensor] = torch.compile(self.model, dynamic=False)
        try:
            program(images)  # torch compiles at the first call
        # The compiler fails in ways without a common class; what is wrong with the model itself shows again below.
        except Exception as error:
            cause = next(iter(str(error).splitlines()), "") or type(error).__name__
            if not self.falls_back:
                print(f"notice: detect.backend: compile failed, going on with eager: {cause}", file=sys.stderr)
            self.falls_back = True
            return self.model
        return program
