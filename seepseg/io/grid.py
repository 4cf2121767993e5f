"""The place of each tile in the grid of its scene, from what file names say."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from seepseg.io.faults import MAX_SCENE_PIXELS, NO_COLUMNS, NUMBERED_ZERO, OFF_GRID, ONE_NAME, WIDE_SCENE
from seepseg.io.report import Report
from seepseg.io.tile_files import Cell, Tile

Place = Cell | tuple[None, None]  # row and column in the grid of a scene, if known
NO_PLACE: Place = (None, None)


def place_tiles(
    tiles: Sequence[Tile], shape: tuple[int, ...], grid_columns: Mapping[str, int], report: Report
) -> list[Place]:
    """Find row and column of each tile in its scene's grid.

    Args:
        tiles: all tiles of a set, either with numbers in their names, or all with row and column.
        shape: height and width of a tile, in pixels; empty where no tile could be read.
        grid_columns: number of columns by the start of the scene's name, for tiles with numbers.
        report: takes scenes and tiles that get no place, and scenes that are too large to be true.

    Returns:
        For each tile row and column from 0, in tiles; None and None where they are unknown.
    """
    _check_names({tile.scene for tile in tiles}, report)
    cells: list[Place]
    if any(tile.cell is None for tile in tiles):
        _check_numbers(tiles, grid_columns, report)
        cells = [grid_cell(tile.position, grid_columns_of(tile.scene, grid_columns)) for tile in tiles]
    elif shape:
        cells = _cells_of_names(tiles, (shape[0], shape[1]), report)
    else:
        return [NO_PLACE] * len(tiles)
    if shape:
        _check_extents(tiles, cells, (shape[0], shape[1]), report)
    return cells


def grid_columns_of(scene: str, grid_columns: Mapping[str, int]) -> int | None:
    """Number of columns of a scene's grid, by the longest listed start of its name; None if none fits."""
    fitting = [start for start in grid_columns if scene.startswith(start)]
    return grid_columns[max(fitting, key=len)] if fitting else None


def grid_cell(position: int, columns: int | None) -> Place:
    """Row and column, both from 0, of a tile in its scene's grid.

    Positions count from 1, row by row. The real tiles say so: of the pair 99, 100 of scene 045590, with 20
    columns, the edges continue each other (correlation 0.45, with any other tile below 0.30) and the right
    part of 100 lies off the footprint, so 100 ends its row and does not begin the next one.

    Args:
        position: number of the tile.
        columns: width of the grid; None if unknown.

    Returns:
        Row and column; None and None without a width, and for position 0.
    """
    if columns is None or position == 0:
        return NO_PLACE
    return divmod(position - 1, columns)


def are_pixels(scenes: Sequence[Sequence[Cell]], shape: tuple[int, int]) -> bool:
    """Tell rows and columns that count pixels from those that count tiles.

    They count pixels if most steps from one row or column of a scene to its next are multiples of the tile's side;
    else tiles if there is a step of 1, or of less than an eighth of the side, as no tiles overlap so much; else pixels,
    of tiles that overlap.

    Args:
        scenes: of each scene the rows and columns in its file names.
        shape: height and width of a tile, in pixels.
    """
    steps = [
        (after - before, side)
        for cells in scenes
        for axis, side in enumerate(shape)
        for before, after in pairwise(sorted({cell[axis] for cell in cells}))
    ]
    if 2 * sum(step % side == 0 for step, side in steps) > len(steps):
        return True
    return not any(step == 1 or 8 * step < side for step, side in steps)


def _cells_of_names(tiles: Sequence[Tile], shape: tuple[int, int], report: Report) -> list[Place]:
    """Rows and columns in file names as cells of the grid that begins with the first of each scene."""
    named = [tile.cell or (0, 0) for tile in tiles]
    by_scene: dict[str, list[Cell]] = {}
    for tile, cell in zip(tiles, named, strict=True):
        by_scene.setdefault(tile.scene, []).append(cell)
    if not are_pixels(list(by_scene.values()), shape):
        return list(named)
    height, width = shape
    first = {
        scene: (min(r for r, _ in cells) % height, min(c for _, c in cells) % width)
        for scene, cells in by_scene.items()
    }
    cells: list[Place] = []
    for tile, (top, left) in zip(tiles, named, strict=True):
        row, rest_down = divmod(top - first[tile.scene][0], height)
        col, rest_right = divmod(left - first[tile.scene][1], width)
        if rest_down or rest_right:
            report.add(OFF_GRID, tile.name, f"row {top}, column {left}")
        cells.append(NO_PLACE if rest_down or rest_right else (row, col))
    return cells


def _check_names(scenes: Collection[str], report: Report) -> None:
    """Warn of scenes that differ by their folders alone."""
    first: dict[str, str] = {}
    for scene in sorted(scenes):
        if (other := first.setdefault(scene.rpartition("/")[2], scene)) != scene:
            report.add(ONE_NAME, scene, f"{other}, too")


def _check_numbers(tiles: Sequence[Tile], grid_columns: Mapping[str, int], report: Report) -> None:
    """Warn of scenes and tiles whose numbers give no row and column."""
    for scene in sorted({tile.scene for tile in tiles}):
        if grid_columns_of(scene, grid_columns) is None:
            report.add(NO_COLUMNS, scene)
    for tile in tiles:
        if tile.position == 0:
            report.add(NUMBERED_ZERO, tile.name)


def _check_extents(tiles: Sequence[Tile], cells: Sequence[Place], shape: tuple[int, int], report: Report) -> None:
    """Note scenes that would take absurd memory once they are put together, as after a date was taken for a number."""
    of_scene: dict[str, list[Cell]] = {}
    for tile, (row, col) in zip(tiles, cells, strict=True):
        if row is not None and col is not None:
            of_scene.setdefault(tile.scene, []).append((row, col))
    for scene, placed in of_scene.items():
        height, width = (
            (max(axis) - min(axis) + 1) * side for axis, side in zip(zip(*placed, strict=True), shape, strict=True)
        )
        if height * width > MAX_SCENE_PIXELS:
            report.add(WIDE_SCENE, scene, f"{height:,} x {width:,}")
