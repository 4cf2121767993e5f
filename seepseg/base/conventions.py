"""Values and names with one meaning everywhere: in raw data, packed arrays, scenes and tables."""

from typing import Final

NODATA: Final = 0  # pixel value of an image where the satellite saw nothing
BACKGROUND: Final = "background"  # name of class 0
