"""Rows of a scene that were taken for scenes are noticed by edges that fit together."""

import numpy as np
import pytest
from scipy import ndimage

from seepseg.io.edges import EdgeCheck, is_distinct
from seepseg.io.report import Report
from seepseg.io.tile_files import Tile

SIDE = 64


def picture(seed, rows, cols, smooth=4):
    """A scene with structures of some pixels under speckle, uint16."""
    rng = np.random.default_rng(seed)
    sea = ndimage.gaussian_filter(rng.normal(size=(rows * SIDE, cols * SIDE)), smooth) * 2 * smooth
    return (np.exp(sea / 2 + rng.normal(size=sea.shape) / 4) * 5000 + 1).clip(1, 65535).astype(np.uint16)


def cut(image):
    """Its tiles by row and column."""
    rows, cols = image.shape[0] // SIDE, image.shape[1] // SIDE
    return {
        (r, c): image[r * SIDE : (r + 1) * SIDE, c * SIDE : (c + 1) * SIDE] for r in range(rows) for c in range(cols)
    }


def check(images):
    """The report on images by scene and number."""
    tiles = [Tile(f"{scene}_{number}", scene, number, None, "image", None) for scene, number in images]
    edges, report = EdgeCheck(tiles), Report()
    for tile, image in zip(tiles, images.values(), strict=True):
        edges.see(tile, image)
    edges.note(report)
    return report


@pytest.mark.parametrize("step", [1, SIDE])
def test_rows_in_the_scene_name_are_noticed(step):
    report = check({(f"S1A_900001_{row * step}", col): tile for (row, col), tile in cut(picture(1, 4, 5)).items()})
    assert not report.has_errors
    assert report.warning_counts()["rows_taken_for_scenes"] == 1
    assert f"scenes like S1A_900001_0 and S1A_900001_{step}, whose tiles' edges fit together like rows of one" in str(
        report
    )
    assert "(?P<row>" in str(report)


def test_columns_in_the_scene_name_are_noticed():
    report = check({(f"x{col}", row): tile for (row, col), tile in cut(picture(2, 4, 5)).items()})
    assert "scenes like x0 and x1, whose tiles' edges fit together like columns of one scene" in str(report)


def test_rows_of_several_scenes_are_noticed_together():
    images = {}
    for seed in range(6):
        images |= {(f"s{seed}_{row}", col): tile for (row, col), tile in cut(picture(seed, 2, 2)).items()}
    assert check(images).warning_counts()["rows_taken_for_scenes"] == 1


def test_scenes_with_numbers_in_their_names_are_no_rows():
    images = {}
    for seed in range(8):
        images |= {(f"04187{seed}", 3 * row + col): tile for (row, col), tile in cut(picture(seed, 3, 3)).items()}
    assert str(check(images)) == ""


def test_passes_over_the_same_ground_are_no_rows():
    ground = picture(1, 3, 3, smooth=40).astype(float)
    images = {}
    for seed in range(6):
        seen = (ground * np.random.default_rng(seed).gamma(4, 0.25, ground.shape)).clip(1, 65535).astype(np.uint16)
        images |= {(f"04187{seed}", 3 * row + col): tile for (row, col), tile in cut(seen).items()}
    assert str(check(images)) == ""


def test_scenes_that_all_get_darker_with_the_incidence_angle_are_no_rows():
    images = {}
    for seed in range(8):
        dark = (picture(seed, 3, 3) * np.linspace(1, 0.1, 3 * SIDE)).astype(np.uint16) + 1
        images |= {(f"04187{seed}", 3 * row + col): tile for (row, col), tile in cut(dark).items()}
    assert str(check(images)) == ""


def test_rows_counted_from_the_last_are_noticed():
    tiles = cut(picture(1, 4, 5))
    images = {(f"a{3 - row}", col): tiles[row, col] for row in range(4) for col in range(5)}
    assert check(images).warning_counts()["rows_taken_for_scenes"] == 1


@pytest.mark.parametrize(
    ("differences", "distinct"),
    [
        ([0.15] * 10, True),
        ([-0.15] * 10, True),
        ([0.05] * 1000, False),  # sure, but too small for edges that meet
        ([0.5, -0.4, 0.6, -0.3], False),  # large, but not sure
        ([0.15] * 5, False),  # speckle may do that: 4 * sqrt(2 / 256) / sqrt(5) = 0.158
        ([0.9], False),
        ([np.nan] * 10, False),
        ([0.15] * 10 + [np.nan], True),
    ],
)
def test_how_sure_is_sure(differences, distinct):
    assert is_distinct(differences, length=256) == distinct


def test_constant_images_and_no_data_are_no_rows():
    tiles = cut(picture(1, 4, 5))
    assert str(check({(f"a{row}", col): tile * 0 for (row, col), tile in tiles.items()})) == ""
    assert str(check({(f"a{row}", col): tile * 0 + 7 for (row, col), tile in tiles.items()})) == ""


def test_names_without_a_last_number_are_not_looked_at():
    letters = "abcd"
    assert str(check({(f"a{letters[row]}", col): tile for (row, col), tile in cut(picture(1, 4, 5)).items()})) == ""


def test_memory_stays_flat():
    tiles = [
        Tile(f"a{scene}_{number}", f"a{scene}", number, None, "i", None) for scene in range(50) for number in range(50)
    ]
    edges = EdgeCheck(tiles)
    for tile in tiles:
        edges.see(tile, np.ones((4, 4), np.uint16))
    assert len(edges._edges) <= 512


def test_numbers_that_count_pixels_prove_rows_without_a_look_at_edges():
    blank = np.ones((SIDE, SIDE), np.uint16)
    report = check({(f"S1A_900001_{SIDE * row}", SIDE * col): blank for row in range(2) for col in range(2)})
    assert "scenes like S1A_900001_0 and S1A_900001_64, whose numbers and those of their tiles count pixels" in str(
        report
    )
    assert not check({(f"S1A_{SIDE * row}", 1 + col): blank for row in range(2) for col in range(2)}).offenders
