"""Which scenes a folder holds, and what they are called."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import rasterio
from rasterio.errors import RasterioError

from seepseg.base.errors import InputError
from seepseg.geo.sentinel1 import MANIFEST, is_product, product_name

RASTERS = frozenset({".tif", ".tiff", ".vrt", ".img", ".jp2", ".png", ".jpg", ".jpeg"})
# Files that belong to a raster beside them, or to a folder.
SIDECARS = frozenset(
    {
        ".aux",
        ".ovr",
        ".msk",
        ".tfw",
        ".tifw",
        ".wld",
        ".pgw",
        ".jgw",
        ".prj",
        ".rrd",
        ".qml",
        ".xml",
        ".md",
        ".txt",
        ".md5",
    }
)


class Found(NamedTuple):
    """What a folder holds.

    Attributes:
        scenes: paths of files, or of folders of products; sorted by name.
        passed_over: files that are no scenes by their names, but no sidecars either; sorted.
    """

    scenes: list[Path]
    passed_over: list[Path]


def find_scenes(path: Path) -> Found:
    """Find the scenes below a folder.

    A SAFE folder, a zip with one, and every raster file is a scene; what is in a SAFE folder belongs to it. Hidden
    files are passed over in silence. A file, and a SAFE folder, is a scene of its own, whatever its name is.

    Args:
        path: a folder, also with folders in it, or one scene.

    Raises:
        InputError: there is nothing, no scene, or two of one name.
    """
    if path.name.lower() == MANIFEST:
        path = path.parent
    if path.name in ("", ".."):  # a scene is called by the name of its folder
        path = path.resolve()
    if path.is_file() or is_product(path):
        return Found([path], [])
    if not path.is_dir():
        raise InputError(f"{path}: expected a scene or a folder of scenes, found nothing; check the path")
    scenes, passed_over = [], []
    for file in _walk(path, set()):
        if file.suffix.lower() in RASTERS or is_product(file):
            scenes.append(file)
        elif file.suffix.lower() not in SIDECARS:
            passed_over.append(file)
    if not scenes:
        others = f"{len(passed_over)} other file{'s' * (len(passed_over) != 1)}" if passed_over else "nothing"
        raise InputError(
            f"{path}: expected scenes (SAFE folders or zips, GeoTIFF, COG, PNG, JPEG), found {others}; check the path"
        )
    names: dict[str, Path] = {}
    for scene in scenes:
        if (other := names.setdefault(scene_name(scene), scene)) is not scene:
            raise InputError(
                f"expected scenes with different names, found {scene_name(scene)} twice, {other} and {scene}; "
                "rename one of them or move it elsewhere"
            )
    return Found(sorted(scenes, key=lambda scene: (scene_name(scene), scene)), sorted(passed_over))


def scene_name(path: Path) -> str:
    """Name of a scene: of its file or folder, without its ending."""
    return product_name(path) if path.suffix.lower() in (".safe", ".zip") or path.is_dir() else path.stem


def files_of(path: Path) -> list[Path]:
    """Files that a scene consists of: those in its folder, or to which a virtual raster points."""
    if path.is_dir():
        return [file for file in path.rglob("*") if file.is_file()]
    if path.suffix.lower() == ".vrt":
        with suppress(RasterioError), rasterio.open(path) as file:
            return [each for each in map(Path, file.files) if each.is_file()]
    return [path]


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """Files and products below a folder, in order; links to folders are followed, once."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder}: can't be read ({error.strerror}); let this user read there") from None
    seen.add(folder.resolve())
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if not entry.is_dir() or is_product(path):
            yield path
        elif path.resolve() not in seen:
            yield from _walk(path, seen)
