"""The contract of a scene: pixels by window, whatever they are read from."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class Window(NamedTuple):
    """A part of a scene, in pixels; it may reach beyond the scene, so that rows and columns may be below 0."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The window as an index, of one that lies in its scene."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


class ScenePixels(Protocol):
    """A scene that gives its pixels by window."""

    @property
    def name(self) -> str:
        """Name of the scene."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        ...

    def read(self, window: Window) -> npt.NDArray[np.uint16]:
        """Read a window.

        Args:
            window: any part, also beyond the scene.

        Returns:
            uint16 (height, width), `NODATA` where nothing was seen and outside of the scene.
        """
        ...
