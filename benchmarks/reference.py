"""The loop that this work grew from, as it was: the yardstick of the benchmark. Nothing here is tuned.

A plain U-Net of width 64 with a sigmoid channel for each of the seven classes, batches of 16 tiles read one by one
from TIFF files, float32 in the default layout, Adam at 3e-5 and the focal Tversky loss of all channels and the whole
batch as one index. Self-contained, so that no change to seepseg can change what seepseg is compared with.
"""

from collections.abc import Iterator
from pathlib import Path

import tifffile
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.data import DataLoader, Dataset

NUM_CLASSES = 7  # without background
WIDTHS = (64, 128, 256, 512)
BATCH_SIZE = 16
LEARNING_RATE = 3e-5
FALSE_POSITIVES, FALSE_NEGATIVES = 0.7, 0.3  # what they weigh in the Tversky index
EXPONENT = 1.33
SMOOTH = 1.0

Sample = tuple[Tensor, Tensor]


class PlainUNet(nn.Module):
    """U-Net of four levels: 7,782,151 weights.

    Maps images, float32 (N, 1, H, W) with H and W multiples of 8, to logits (N, 7, H, W).
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (1, *WIDTHS[:-1])
        self.pool = nn.MaxPool2d(2)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear")
        self.down = nn.ModuleList(double_conv(i, o) for i, o in zip(inputs, WIDTHS, strict=True))
        finer, coarser = reversed(WIDTHS[:-1]), reversed(WIDTHS[1:])
        self.up = nn.ModuleList(double_conv(fine + coarse, fine) for fine, coarse in zip(finer, coarser, strict=True))
        self.head = nn.Conv2d(WIDTHS[0], NUM_CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        skips: list[Tensor] = []
        for level in self.down:
            x = level(self.pool(x) if skips else x)
            skips.append(x)
        skips.pop()
        for level in self.up:
            x = level(torch.cat([skips.pop(), self.upsample(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Twice 3x3 convolution and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.ReLU(),
    )


class TileFiles(Dataset[Sample]):
    """Pairs of TIFF files, read when they are asked for; each image minus its mean, over its standard deviation.

    Args:
        images: folder of images.
        targets: folder of targets with the same file names.
        augment: turn by 180 degrees and mirror, each for every other tile.
    """

    def __init__(self, images: Path, targets: Path, *, augment: bool) -> None:
        self.pairs = [(path, targets / path.name) for path in sorted(images.glob("*.tif*"))]
        self.augment = augment

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Return image, float32 (1, H, W), and target, int64 (H, W)."""
        image_file, target_file = self.pairs[index]
        image = torch.from_numpy(tifffile.imread(image_file).squeeze().astype("float32"))[None]
        target = torch.from_numpy(tifffile.imread(target_file).squeeze().astype("int64"))
        image = (image - image.mean()) / image.std().clamp(min=1.0)
        if self.augment and torch.rand(()) < 0.5:
            image, target = image.rot90(2, (-2, -1)), target.rot90(2, (-2, -1))
        if self.augment and torch.rand(()) < 0.5:
            image, target = image.flip(-1), target.flip(-1)
        return image, target


def focal_tversky(logits: Tensor, target: Tensor) -> Tensor:
    """(1 - TI)^1.33 with TI = (TP + 1) / (TP + 0.7 FP + 0.3 FN + 1), over all channels and pixels of the batch.

    Args:
        logits: float32 (N, 7, H, W).
        target: int64 (N, H, W), 0 is background, 1..7 are the classes.
    """
    one_hot = F.one_hot(target, NUM_CLASSES + 1)[..., 1:].permute(0, 3, 1, 2).float()
    probs, truth = logits.sigmoid().reshape(-1), one_hot.reshape(-1)
    tp = (probs * truth).sum()
    fp = (probs * (1 - truth)).sum()
    fn = ((1 - probs) * truth).sum()
    index = (tp + SMOOTH) / (tp + FALSE_POSITIVES * fp + FALSE_NEGATIVES * fn + SMOOTH)
    return (1 - index) ** EXPONENT


def build_optimizer(model: nn.Module) -> Adam:
    """Adam, as it comes."""
    return Adam(model.parameters(), lr=LEARNING_RATE)


def train(model: nn.Module, optimizer: Optimizer, loader: DataLoader[Sample], device: torch.device) -> Iterator[int]:
    """Train one epoch, and yield the number of tiles of each batch after its step."""
    model.train()
    for images, target in loader:
        optimizer.zero_grad()
        loss = focal_tversky(model(images.to(device)), target.to(device))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()  # as for a progress bar
        yield len(images)


def predict(model: nn.Module, loader: DataLoader[Sample], device: torch.device) -> Iterator[Tensor]:
    """Yield the class of each pixel, int64 (N, H, W), batch by batch: the likeliest with more than 0.5, or 0."""
    model.eval()
    with torch.no_grad():
        for images, _ in loader:
            probs = model(images.to(device)).sigmoid()
            highest, channel = probs.max(dim=1)
            yield torch.where(highest > 0.5, channel + 1, 0)
