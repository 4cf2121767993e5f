"""ResNet-18 and -34 of He et al. 2016, arXiv 1512.03385, as the encoder of a U-Net.

Modules and parameters bear torchvision's names, so that its state dicts load without torchvision itself.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import safetensors.torch
import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from seepseg.base.errors import InputError
from seepseg.base.params import param_block
from seepseg.models.blocks import Norm, Upsampling
from seepseg.models.registry import NetworkBlock, register_network
from seepseg.models.unet import Decoder, Encoder, UNet, level_widths

ResNetName = Literal["resnet18", "resnet34"]

BLOCKS: dict[ResNetName, tuple[int, ...]] = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
WIDTHS = (64, 64, 128, 256, 512)  # of conv1, layer1 ... layer4
MAX_DEPTH = len(WIDTHS)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNetEncoder(Encoder):
    """The levels of a ResNet: conv1 at half the resolution, then layer1 to layer4.

    Args:
        name: which ResNet.
        in_channels: C, of the images.
        depth: number of levels, 2 to 5; 5 is the whole network, fewer leave out the last layers.
    """

    def __init__(self, name: ResNetName, in_channels: int, depth: int) -> None:
        super().__init__()
        self.widths = WIDTHS[:depth]
        self.stem = 2  # the stride of conv1
        self.conv1 = nn.Conv2d(in_channels, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        for index in range(1, depth):
            # layer1 keeps the resolution, which the max-pooling before it has halved.
            strides = [1 if index == 1 else 2, *[1] * (BLOCKS[name][index - 1] - 1)]
            inputs = [WIDTHS[index - 1], *[WIDTHS[index]] * (len(strides) - 1)]
            blocks = [BasicBlock(i, WIDTHS[index], stride) for i, stride in zip(inputs, strides, strict=True)]
            self.add_module(f"layer{index}", nn.Sequential(*blocks))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, finest first."""
        features = [F.relu(self.bn1(self.conv1(images)))]  # (N, 64, H / 2, W / 2)
        x = F.max_pool2d(features[0], 3, stride=2, padding=1)  # (N, 64, H / 4, W / 4)
        for index in range(1, len(self.widths)):
            x = self.get_submodule(f"layer{index}")(x)
            features.append(x)  # (N, widths[index], H / 2**(index + 1), W / 2**(index + 1))
        return features


def load_encoder_weights(encoder: ResNetEncoder, name: ResNetName, path: Path) -> None:
    """Load a torchvision state dict into an encoder.

    Weights of conv1 become their mean over red, green and blue, times 3 / C: that gives what the three give for a
    grey image repeated in three channels where the C channels of ours are alike. `fc` and layers beyond the
    encoder's depth are ignored.

    Args:
        encoder: changed in place.
        name: which ResNet it is.
        path: `.safetensors`, or else a file of `torch.save`, of which nothing is executed.

    Raises:
        InputError: the file is missing, no state dict, or one of another network.
    """
    expected = f"a torchvision {name} state dict"
    state = _read_state(path, expected)
    own = encoder.state_dict()
    conv1 = state.get("conv1.weight")
    if conv1 is not None and conv1.shape == (WIDTHS[0], 3, 7, 7):
        channels = own["conv1.weight"].shape[1]
        state["conv1.weight"] = conv1.sum(dim=1, keepdim=True).repeat(1, channels, 1, 1) / channels  # (64, C, 7, 7)
    # Old files don't count batches; the count enters no computation here.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    beyond = tuple(f"layer{index}." for index in range(len(encoder.widths), MAX_DEPTH))
    unknown = [key for key in state if key not in own and not key.startswith(("fc.", *beyond))]
    for fault, keys in (("lacks", missing), ("also holds", unknown)):
        if keys:
            raise InputError(f"{path}: expected {expected}, but the file {fault} {_listed(keys)}")
    for key, tensor in own.items():
        if key in state and state[key].shape != tensor.shape:
            found, wanted = tuple(state[key].shape), tuple(tensor.shape)
            raise InputError(f"{path}: expected {expected}, with {key} of shape {wanted}, found {found}")
    encoder.load_state_dict({key: state.get(key, tensor) for key, tensor in own.items()})


def _read_state(path: Path, expected: str) -> dict[str, Tensor]:
    """Read a flat dict of tensors without executing anything of the file."""
    if not path.is_file():
        raise InputError(f"{path} is missing: model.resnet_unet.encoder_weights must be {expected}, or null")
    try:
        if path.suffix == ".safetensors":
            state: Any = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception:  # what the two raise on foreign bytes has no common class
        # torch's own message stays hidden: it advises to switch the safety off.
        raise InputError(f"{path}: expected {expected}, found a damaged file or more than tensors") from None
    if not isinstance(state, dict):
        raise InputError(f"{path}: expected {expected}, found a {type(state).__name__}")
    if others := [key for key, value in state.items() if not isinstance(value, Tensor)]:
        raise InputError(f"{path}: expected {expected}, all tensors, but {_listed(others)} is none")
    return state


def _listed(keys: list[str], shown: int = 3) -> str:
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return ", ".join(map(str, keys[:shown])) + more


@register_network("resnet_unet")
@param_block
class ResNetUNetParams(NetworkBlock):
    """U-Net whose encoder is a ResNet with its own widths and batch norm: He et al. 2016."""

    width: Annotated[int, Ge(1)] = 16
    """channels of the decoder's finest level; they double at each further one"""
    depth: Annotated[int, Ge(2), Le(MAX_DEPTH)] = 5
    """levels of the ResNet that are used"""
    norm: Norm = "batch"
    """of the decoder: none | batch | group"""
    upsampling: Upsampling = "bilinear"
    """bilinear | transposed"""
    encoder: ResNetName = "resnet18"
    """resnet18 | resnet34"""
    encoder_weights: str | None = None
    """file of a torchvision state dict to start from; give another file another name"""

    def build(self, in_channels: int, num_logits: int) -> nn.Module:
        """Build the network; its encoder starts from `encoder_weights`, if any."""
        encoder = ResNetEncoder(self.encoder, in_channels, self.depth)
        decoder = Decoder(encoder.widths, level_widths(self.width, self.depth - 1), self.norm, self.upsampling)
        network = UNet(encoder, decoder, num_logits)
        if self.encoder_weights is not None:
            load_encoder_weights(encoder, self.encoder, Path(self.encoder_weights))
        return network

    @property
    def files(self) -> tuple[Path, ...]:
        """The file of `encoder_weights`, if any."""
        return () if self.encoder_weights is None else (Path(self.encoder_weights),)

    def without_files(self) -> Self:
        """The same without `encoder_weights`."""
        return replace(self, encoder_weights=None)
