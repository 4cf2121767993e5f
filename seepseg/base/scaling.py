"""How the numbers of an image become the packed ones: the same for all images, in raw data and in a model file."""

from typing import Annotated

from pydantic import AfterValidator


def _check(scaling: list[float]) -> list[float]:
    if scaling and (len(scaling) != 2 or scaling[0] >= scaling[1]):
        raise ValueError("[low, high] in the units of the images, low below high; or [] for images that need none")
    return scaling


Scaling = Annotated[list[float], AfterValidator(_check)]
"""[low, high], the numbers that become 1 and 65535; empty where numbers are packed as they are."""
