"""What a network is given of a tile: intensity, normalised, and perhaps a second channel that is made of it."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from annotated_types import Gt
from torch import Tensor

from seepseg.base.errors import InputError
from seepseg.base.params import param_block
from seepseg.data.packed import Indices

NormalizationName = Literal["tile", "scene", "dataset", "local"]
ExtraName = Literal["none", "lee", "sea"]

# Intensities are whole numbers: below one step a deviation is rounding error, as in a constant tile.
MIN_STD = 1.0
LEE_WINDOW = 7  # pixels
SEA_SIGMA = 16  # pixels; slicks are narrower
LOCAL_SIGMA = 32  # pixels
NOISE_EVERY = 4  # of the pixels in each direction, speckle is estimated from one of so many
TINY = 1e-6


@param_block
class InputParams:
    """Section `input` of params.yaml.

    Attributes:
        normalization: whose mean and deviation intensity is measured by: those of its tile, of all tiles of its scene,
            of all training tiles, or of a Gaussian neighbourhood with a standard deviation of 32 pixels.
        extra: a second channel of the image: lee is filtered of speckle, sea a mean over the sea around, by a Gaussian
            with a standard deviation of 16 pixels.
    """

    normalization: NormalizationName
    extra: ExtraName


@param_block
class InputSpec:
    """How tiles become input of networks that are trained already; belongs to their weights.

    Attributes:
        normalization: see `InputParams`.
        extra: see `InputParams`.
        mean: of normalization dataset, recorded intensity.
        std: of normalization dataset, recorded intensity.
    """

    normalization: NormalizationName
    extra: ExtraName
    mean: float | None = None
    std: Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        if (self.normalization == "dataset") != (self.mean is not None and self.std is not None):
            raise ValueError("a mean and a std with normalization dataset, none with the others")

    @property
    def channels(self) -> int:
        """Number of channels that networks take."""
        return 1 if self.extra == "none" else 2


def fit_input(params: InputParams, manifest: pd.DataFrame) -> InputSpec:
    """Find the statistics that networks are to be given.

    Args:
        params: section `input`.
        manifest: rows of the training tiles, all of one size; for their `mean`, `std` and `nodata_fraction`.

    Returns:
        For normalization dataset, with mean and standard deviation over all valid pixels of those tiles together.

    Raises:
        InputError: normalization dataset, and no tile has a valid pixel.
    """
    if params.normalization != "dataset":
        return InputSpec(normalization=params.normalization, extra=params.extra)
    mean, std = pooled(manifest)
    if np.isnan(mean):
        raise InputError("input.normalization: dataset needs a training tile with data, found none; use tile")
    return InputSpec(normalization=params.normalization, extra=params.extra, mean=mean, std=max(std, MIN_STD))


def pooled(manifest: pd.DataFrame) -> tuple[float, float]:
    """Mean and standard deviation of intensity over all valid pixels of tiles; NaN where there are none.

    Args:
        manifest: rows of the tiles, all of one size; see `seepseg.data.packed.read_manifest`.
    """
    seen = manifest[manifest["nodata_fraction"] < 1]
    if seen.empty:
        return float("nan"), float("nan")
    weight = (1 - seen["nodata_fraction"]) / (1 - seen["nodata_fraction"]).sum()
    mean = (weight * seen["mean"]).sum()
    # Variance within the tiles, and between them.
    variance = (weight * (seen["std"] ** 2 + (seen["mean"] - mean) ** 2)).sum()
    return float(mean), float(variance) ** 0.5


class InputMaker:
    """Makes what networks are given of recorded tiles.

    Args:
        spec: what to make.
        manifest: of all packed tiles, see `seepseg.data.packed.read_manifest`; for the statistics of scenes.
    """

    def __init__(self, spec: InputSpec, manifest: pd.DataFrame) -> None:
        self.spec = spec
        self._of_scenes = _scene_statistics(manifest) if spec.normalization == "scene" else None

    def __call__(self, images: Tensor, valid: Tensor, indices: Indices) -> Tensor:
        """Make the input of a batch.

        Args:
            images: recorded intensity, float32 (N, 1, H, W).
            valid: bool (N, H, W), False on no-data.
            indices: int64 (N,), the tiles' rows in the packed arrays.

        Returns:
            float32 (N, `spec.channels`, H, W), 0 on no-data; all 0 for a tile that is constant or holds nothing valid.
        """
        seen = valid.unsqueeze(1)  # (N, 1, H, W)
        channels = images
        if self.spec.extra == "lee":
            channels = torch.cat([images, lee_filter(images, seen)], dim=1)  # (N, 2, H, W)
        elif self.spec.extra == "sea":
            channels = torch.cat([images, local_mean(images, seen, SEA_SIGMA)], dim=1)
        mean, std = self._statistics(images, seen, indices)
        return torch.where(seen, channels - mean, 0).div_(std.clamp(min=MIN_STD))

    def _statistics(self, images: Tensor, seen: Tensor, indices: Indices) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation to measure by, each for all, (N, 1, 1, 1) for each tile or (N, 1, H, W)."""
        if self._of_scenes is not None:
            of_tiles = torch.from_numpy(self._of_scenes[indices]).to(images.device)  # (N, 2)
            return of_tiles[:, 0].view(-1, 1, 1, 1), of_tiles[:, 1].view(-1, 1, 1, 1)
        if self.spec.mean is not None and self.spec.std is not None:
            return images.new_tensor(self.spec.mean), images.new_tensor(self.spec.std)
        count = seen.sum((1, 2, 3), keepdim=True).clamp(min=1)  # (N, 1, 1, 1)
        mean = torch.where(seen, images, 0).sum((1, 2, 3), keepdim=True) / count
        centred = torch.where(seen, images - mean, 0)
        if self.spec.normalization == "tile":
            return mean, torch.linalg.vector_norm(centred, dim=(1, 2, 3), keepdim=True) / count.sqrt()
        # Of what is centred, because squares of what is far from 0 cancel badly.
        near = local_mean(torch.cat([centred, centred.square()], dim=1), seen, LOCAL_SIGMA)
        return mean + near[:, :1], (near[:, 1:] - near[:, :1].square()).clamp(min=0).sqrt()


def _scene_statistics(manifest: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Of each tile, the mean and standard deviation of its scene, float32 (N, 2); 0 and 0 of a scene without data."""
    by_scene = {scene: pooled(rows) for scene, rows in manifest.groupby("scene")}
    return np.nan_to_num(np.array([by_scene[scene] for scene in manifest["scene"]], dtype=np.float32))


def local_mean(images: Tensor, seen: Tensor, sigma: int) -> Tensor:
    """Mean of the valid pixels around each pixel, weighted by a Gaussian.

    Computed on blocks of sigma / 4 pixels and interpolated: what is so smooth needs no finer grid.

    Args:
        images: float32 (N, C, H, W).
        seen: bool (N, 1, H, W), where they are valid.
        sigma: standard deviation of the Gaussian in pixels; the sum ends at three of them.

    Returns:
        float32 (N, C, H, W); of no meaning where nothing is valid around.
    """
    height, width = images.shape[-2:]
    block = max(sigma // 4, 1)
    known = F.pad(torch.cat([images * seen, seen], dim=1), (0, -width % block, 0, -height % block))
    sums = F.avg_pool2d(known, block)  # (N, C + 1, h, w)
    places = torch.arange(-(3 * sigma // block), 3 * sigma // block + 1, device=images.device)
    weights = torch.exp(-0.5 * (places * block / sigma).square()).to(images.dtype)
    kernel = (weights / weights.sum()).expand(sums.shape[1], 1, 1, -1)
    reach = len(places) // 2
    sums = F.conv2d(sums, kernel, padding=(0, reach), groups=sums.shape[1])
    sums = F.conv2d(sums, kernel.transpose(2, 3), padding=(reach, 0), groups=sums.shape[1])
    means = sums[:, :-1] / sums[:, -1:].clamp(min=TINY)
    smooth = F.interpolate(means, scale_factor=block, mode="bilinear", align_corners=False)
    return smooth[..., :height, :width]


def lee_filter(images: Tensor, seen: Tensor) -> Tensor:
    """Even out speckle, but less where the image varies by more than speckle does.

    m + w (x - m), w = (1 - Cu^2 / Ci^2) / (1 + Cu^2), not below 0, with the local mean m and the local coefficient of
    variation Ci in a window of 7 x 7 pixels. That of speckle alone, Cu, is taken for the median of Ci in a tile,
    since most of a tile is sea without edges.

    Args:
        images: recorded intensity, float32 (N, 1, H, W).
        seen: bool (N, 1, H, W), where they are valid.

    Returns:
        float32 (N, 1, H, W).

    References:
        Lee 1981, "Speckle analysis and smoothing of synthetic aperture radar images", Computer Graphics and Image
        Processing 17, 24-32; for multiplicative noise.
    """
    known = images * seen
    sums = torch.cat([known, known.square(), seen], dim=1)  # (N, 3, H, W)
    reach = LEE_WINDOW // 2
    sums = F.avg_pool2d(sums, (LEE_WINDOW, 1), stride=1, padding=(reach, 0))  # rows, then columns: a third of the work
    sums = F.avg_pool2d(sums, (1, LEE_WINDOW), stride=1, padding=(0, reach))
    means = sums[:, :2] / sums[:, 2:].clamp(min=TINY)
    mean = means[:, :1]
    variation = ((means[:, 1:] - mean.square()).clamp(min=0) / mean.square().clamp(min=TINY)).clamp(min=TINY)  # Ci^2
    sample = torch.where(seen, variation, torch.nan)[..., ::NOISE_EVERY, ::NOISE_EVERY].flatten(1)
    noise = sample.nanquantile(0.5, dim=1, interpolation="lower").nan_to_num().view(-1, 1, 1, 1)  # Cu^2
    weight = ((1 - noise / variation) / (1 + noise)).clamp(min=0)
    filtered: Tensor = mean + weight * (images - mean)
    return filtered
