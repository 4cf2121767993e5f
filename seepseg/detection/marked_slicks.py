"""Slicks of a scene that are marked in it, proposed or annotated, and their features."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seepseg.data.block_array import BlockArray
from seepseg.data.pixels import ScenePixels
from seepseg.detection.brightness import brightness
from seepseg.detection.centrelines import Centrelines, find_centrelines
from seepseg.detection.features import image_features
from seepseg.detection.shapes import Boxes
from seepseg.detection.slick_table import ENDS


@dataclass(frozen=True)
class MarkedSlicks:
    """Slicks of a scene, proposed or annotated, and what the networks say of them.

    Attributes:
        scene: gives the pixels.
        labels: int32 (H, W), 1..n on the slicks.
        boxes: of the n slicks.
        of_networks: features of the slicks by each network, by its number; a row per slick.
    """

    scene: ScenePixels
    labels: BlockArray[np.int32]
    boxes: Boxes
    of_networks: Mapping[int, pd.DataFrame]

    def __len__(self) -> int:
        return len(self.boxes)

    def measure(self, threads: int = 1, lines: Centrelines | None = None) -> pd.DataFrame:
        """Features of the slicks, and where their ends are.

        Args:
            threads: that filters may use; what they give does not depend on it.
            lines: centrelines of the slicks, where they are known already.

        Returns:
            A row for each slick and network, slick by slick: `slick` (1..n), `area` in pixels, `ENDS` as they lie in
            the scene, and `network`; then the features, float32, intensities in the image's units, lengths in pixels.
        """
        of_image = image_features(self.scene, self.labels, self.boxes, threads)
        keys = pd.DataFrame({"slick": np.arange(1, len(self) + 1), "area": self.boxes.area})
        keys = pd.concat([keys, self._ends(lines or find_centrelines(self.labels, self.boxes))], axis=1)
        tables = [
            pd.concat([keys.assign(network=number), of_image, table], axis=1)
            for number, table in self.of_networks.items()
        ]
        return pd.concat(tables).sort_values(["slick", "network"], kind="stable").reset_index(drop=True)

    def _ends(self, lines: Centrelines) -> pd.DataFrame:
        """Columns `ENDS`, float64, a row for each slick."""
        x, y = lines.ends.reshape(-1, 2).T
        bright = brightness(self.scene, x, y, self.labels.block).reshape(-1, 2)
        columns = [*lines.ends.reshape(-1, 4).T, lines.length, *lines.half_width.T, *bright.T]
        return pd.DataFrame(dict(zip(ENDS, columns, strict=True)))
