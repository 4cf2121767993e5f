"""Names and folders of raw tiles: every layout that people have, and what is said of the rest."""

import re

import pytest

from seepseg.base.errors import InputError
from seepseg.base.params import load_params
from seepseg.io.raw_data import DataParams
from seepseg.io.report import Report
from seepseg.io.tile_files import compile_name_pattern, find_images, find_tiles


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def find(root, images, targets, pattern, target_pattern=None):
    """Tiles as (name, scene, position, image, target) with paths below the root; and the report."""
    report = Report()
    compiled = None if target_pattern is None else compile_name_pattern(target_pattern)
    tiles = find_tiles(root / images, root / targets, compile_name_pattern(pattern), report, compiled)

    def below(path):
        return path and path.removeprefix(f"{root}/")

    return [(t.name, t.scene, t.position, below(t.image), below(t.target)) for t in tiles], report


BY_NUMBER = r"(?P<scene>\w+)_(?P<tile>\d+)\.tif"


# What lies there, the two folders, the patterns, and the tiles that are found.
LAYOUTS = {
    "capital suffix": (
        ["i/a_1.TIF", "m/a_1.Tif"],
        ("i", "m", BY_NUMBER),
        [("a_1", "a", 1, "i/a_1.TIF", "m/a_1.Tif")],
    ),
    "pattern in capitals": (
        ["i/a_1.TIF", "m/a_1.TIF"],
        ("i", "m", r"(?P<scene>\w+)_(?P<tile>\d+)\.TIF"),
        [("a_1", "a", 1, "i/a_1.TIF", "m/a_1.TIF")],
    ),
    "masks of another format": (
        ["i/a_1.tif", "m/a_1.png"],
        ("i", "m", BY_NUMBER, r"(?P<scene>\w+)_(?P<tile>\d+)\.png"),
        [("a_1", "a", 1, "i/a_1.tif", "m/a_1.png")],
    ),
    "masks with a suffix": (
        ["i/a_1.tif", "m/a_1_mask.tif"],
        ("i", "m", BY_NUMBER, r"(?P<scene>\w+)_(?P<tile>\d+)_mask\.tif"),
        [("a_1", "a", 1, "i/a_1.tif", "m/a_1_mask.tif")],
    ),
    "one folder, told apart by a suffix": (
        ["t/a_1.tif", "t/a_1_mask.tif", "t/a_2.tif", "t/a_2_mask.tif"],
        ("t", "t", BY_NUMBER, r"(?P<scene>\w+)_(?P<tile>\d+)_mask\.tif"),
        [("a_1", "a", 1, "t/a_1.tif", "t/a_1_mask.tif"), ("a_2", "a", 2, "t/a_2.tif", "t/a_2_mask.tif")],
    ),
    "one folder, masks fit both patterns": (
        ["t/a_1.tif", "t/mask_a_1.tif"],
        ("t", "t/../t", BY_NUMBER, r"mask_(?P<scene>\w+)_(?P<tile>\d+)\.tif"),
        [("a_1", "a", 1, "t/a_1.tif", "t/mask_a_1.tif")],
    ),
    "masks in a folder among the images": (
        ["t/a_1.tif", "t/masks/a_1.tif"],
        ("t", "t/masks", BY_NUMBER),
        [("a_1", "a", 1, "t/a_1.tif", "t/masks/a_1.tif")],
    ),
    "a subfolder for each scene": (
        ["i/b/10.tif", "i/b/9.tif", "i/a/9.tif", "m/a/9.tif", "m/b/9.tif", "m/b/10.tif"],
        ("i", "m", r"(?P<scene>[^/]+)/(?P<tile>\d+)\.tif"),
        [
            ("a/9", "a", 9, "i/a/9.tif", "m/a/9.tif"),
            ("b/9", "b", 9, "i/b/9.tif", "m/b/9.tif"),
            ("b/10", "b", 10, "i/b/10.tif", "m/b/10.tif"),
        ],
    ),
    "images and masks below each scene": (
        ["a/img/1.tif", "a/gt/1.tif"],
        (".", ".", r"(?P<scene>[^/]+)/img/(?P<tile>\d+)\.tif", r"(?P<scene>[^/]+)/gt/(?P<tile>\d+)\.tif"),
        [("a/img/1", "a", 1, "a/img/1.tif", "a/gt/1.tif")],
    ),
    "row and column": (
        ["i/a_1_0.tif", "i/a_0_10.tif", "i/a_0_9.tif", "m/a_0_9.tif", "m/a_0_10.tif", "m/a_1_0.tif"],
        ("i", "m", r"(?P<scene>\w+)_(?P<row>\d+)_(?P<col>\d+)\.tif"),
        [
            ("a_0_9", "a", 1, "i/a_0_9.tif", "m/a_0_9.tif"),
            ("a_0_10", "a", 2, "i/a_0_10.tif", "m/a_0_10.tif"),
            ("a_1_0", "a", 3, "i/a_1_0.tif", "m/a_1_0.tif"),
        ],
    ),
    "no suffix at all": (
        ["i/a.1", "m/a.1", "i/a.2", "m/a.2"],
        ("i", "m", r"(?P<scene>\w+)\.(?P<tile>\d+)"),
        [("a.1", "a", 1, "i/a.1", "m/a.1"), ("a.2", "a", 2, "i/a.2", "m/a.2")],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_its_tiles(tmp_path, layout):
    files, arguments, expected = LAYOUTS[layout]
    put(tmp_path, *files)
    tiles, report = find(tmp_path, *arguments)
    assert str(report) == ""
    assert tiles == expected


def test_row_and_column_are_kept_as_they_are_named(tmp_path):
    put(tmp_path, "a_0_0.tif", "a_0_256.tif")
    pattern = compile_name_pattern(r"(?P<scene>\w+)_(?P<row>\d+)_(?P<col>\d+)\.tif")
    assert [tile.cell for tile in find_images(tmp_path, pattern, Report())] == [(0, 0), (0, 256)]
    put(tmp_path / "numbers", "a_7.tif")
    (tile,) = find_images(tmp_path / "numbers", compile_name_pattern(BY_NUMBER), Report())
    assert (tile.cell, tile.position) == (None, 7)


SIDECARS = [
    *("Thumbs.db", "desktop.ini", "Icon\r", "__MACOSX/a_1.tif", "@eaDir/a_1.tif", "a_1.tif.aux.xml", "a_1.tif.ovr"),
    *("a_1.tif.msk", "a_1.tfw", "a_1.TFW", "a_1.pgw", "a_1.tif.vat.dbf", "a_1.tif.xml", "a_1.prj"),
]


@pytest.mark.parametrize("name", SIDECARS)
def test_sidecars_are_a_counted_warning(tmp_path, name):
    put(tmp_path, "i/a_1.tif", "m/a_1.tif", f"i/{name}")
    tiles, report = find(tmp_path, "i", "m", r"(?P<scene>\w+)_(?P<tile>\d+)\..*")
    assert len(tiles) == 1
    assert not report.has_errors
    assert report.warning_counts()["sidecar_files"] == 1
    assert "warning: files of systems and GIS programs: 1\n" in str(report)
    assert "they are passed over" in str(report)


def test_hidden_files_are_passed_over_and_other_files_are_not(tmp_path):
    put(tmp_path, "i/a_1.tif", "m/a_1.tif", "i/.DS_Store", "i/._a_1.tif", "i/.ipynb_checkpoints/a_1.tif")
    assert str(find(tmp_path, "i", "m", BY_NUMBER)[1]) == ""
    put(tmp_path, "i/README.md")
    report = find(tmp_path, "i", "m", BY_NUMBER)[1]
    assert "error: wrong names: 1\n" in str(report) and "i/README.md" in str(report)


def test_sidecars_alone_make_no_tiles(tmp_path):
    put(tmp_path, "i/Thumbs.db", "m/a_1.tif")
    assert f"{tmp_path}/i: found no tiles in it" in str(find(tmp_path, "i", "m", BY_NUMBER)[1])


def test_a_folder_is_said_to_be_one_and_how_to_go_through_it(tmp_path):
    put(tmp_path, "i/a_1.tif", "m/a_1.tif", "m/a_2.tif", "i/a_2.tif/x", "i/more/a_3.tif")
    report = find(tmp_path, "i", "m", BY_NUMBER)[1]
    assert [line for line in str(report).splitlines() if not line.startswith("    ")] == [
        "error: folders among the tiles: 2",
        "  expected: files alone, as the pattern of names has no slash",
        "  what to do: move the files out of the folders, move the folders elsewhere, or have subfolders gone through "
        r"by a slash in data.name_pattern, for example '(?P<scene>[^/]+)/(?P<tile>\d+)\.(tif|png)'",
    ]
    assert f"{tmp_path}/i/more" in str(report) and f"{tmp_path}/i/a_2.tif" in str(report)


def test_links_to_folders_are_gone_through_but_not_in_circles(tmp_path):
    put(tmp_path, "elsewhere/1.tif", "i/b/1.tif")
    (tmp_path / "i/a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "i/b/c").symlink_to(tmp_path / "i")
    report = Report()
    pattern = compile_name_pattern(r"(?P<scene>[^/]+)/(?P<tile>\d+)\.tif")
    assert [tile.name for tile in find_images(tmp_path / "i", pattern, report)] == ["a/1", "b/1"]
    assert f"{tmp_path}/i/b/c: found a link to a folder that it lies in" in str(report)


def test_files_of_a_subfolder_must_fit_the_pattern(tmp_path):
    put(tmp_path, "i/a/1.tif", "i/a/deep/1.tif", "i/1.tif")
    report = Report()
    find_images(tmp_path / "i", compile_name_pattern(r"(?P<scene>[^/]+)/(?P<tile>\d+)\.tif"), report)
    assert "error: wrong names: 2\n" in str(report)
    assert "i/a/deep/1.tif" in str(report) and "i/1.tif" in str(report)


def test_one_folder_needs_a_pattern_of_its_own_for_targets(tmp_path):
    put(tmp_path, "t/a_1.tif")
    tiles, report = find(tmp_path, "t", "t", BY_NUMBER)
    assert tiles == []
    assert str(report).startswith("error: one folder for images and targets: 1\n")
    assert "data.target_pattern" in str(report)


@pytest.mark.parametrize(("name", "found"), [("a_1.tif", "images alone"), ("a_1_mask.tif", "targets alone")])
def test_one_folder_with_files_of_one_kind(tmp_path, name, found):
    put(tmp_path, f"t/{name}")
    report = find(tmp_path, "t", "t", BY_NUMBER, r"(?P<scene>\w+)_(?P<tile>\d+)_mask\.tif")[1]
    assert report.has_errors and f"{tmp_path}/t: found {found}" in str(report)


def test_a_name_that_fits_no_pattern_is_listed_once_with_both(tmp_path):
    put(tmp_path, "t/a_1.tif", "t/a_1_mask.tif", "t/odd.tif")
    report = find(tmp_path, "t", "t", BY_NUMBER, r"(?P<scene>\w+)_(?P<tile>\d+)_mask\.tif")[1]
    assert "wrong names: 1\n  expected: data.name_pattern, " in str(report)
    assert " or data.target_pattern, " in str(report)


def test_wrong_names_of_targets_name_their_pattern(tmp_path):
    put(tmp_path, "i/a_1.tif", "m/a_1_mask.tif", "m/b.tif")
    report = find(tmp_path, "i", "m", BY_NUMBER, r"(?P<scene>\w+)_(?P<tile>\d+)_mask\.tif")[1]
    assert r"expected: data.target_pattern, (?P<scene>\w+)_(?P<tile>\d+)_mask\.tif" in str(report)


def test_a_quicklook_beside_a_tile_is_a_second_file(tmp_path):
    put(tmp_path, "a_1.tif", "a_1.png", "a_1.TIF")
    report = Report()
    find_images(tmp_path, compile_name_pattern(r"(?P<scene>\w+)_(?P<tile>\d+)\.(tif|png)"), report)
    assert "error: several files for one tile: 1\n" in str(report)
    assert "a_1.TIF: found also a_1.png, a_1.tif" in str(report)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(?P<scene>.+)_(?P<row>\d+)", r"with the group (?P<col>...)"),
        (r"(?P<scene>.+)_(?P<tile>\d+)_(?P<row>\d+)_(?P<col>\d+)", "either the group tile or the groups row and col"),
        (r"(?P<scene>.+)", "with the group (?P<tile>...); or row and col"),
    ],
)
def test_a_pattern_has_the_groups_of_a_place(pattern, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        compile_name_pattern(pattern)


def test_row_and_column_must_be_numbers(tmp_path):
    put(tmp_path, "a_x_1.tif")
    pattern = compile_name_pattern(r"(?P<scene>[a-z]+)_(?P<row>\w)_(?P<col>\d+)\.tif")
    with pytest.raises(
        InputError, match=r"data.name_pattern: group row must match a number .* matched 'x' in a_x_1.tif"
    ):
        find_images(tmp_path, pattern, Report())


@pytest.mark.parametrize("name", ["041869.000003.tif", "041869.000003.tiff", "041869.000003.TIF", "041869.000003.png"])
def test_the_default_takes_every_suffix(tmp_path, name):
    put(tmp_path, name)
    report = Report()
    (tile,) = find_images(tmp_path, re.compile(DataParams().name_pattern), report)
    assert (tile.name, tile.scene, tile.position, str(report)) == ("041869.000003", "041869", 3, "")


@pytest.mark.parametrize(
    ("target_pattern", "message"),
    [
        ("(", "data.target_pattern: expected a regular expression ("),
        (r"(?P<scene>.+)_(?P<row>\d+)_(?P<col>\d+)", "data.name_pattern and data.target_pattern with the same groups"),
    ],
)
def test_a_wrong_target_pattern_is_refused(tmp_path, target_pattern, message):
    path = tmp_path / "params.yaml"
    path.write_text(f"data: {{target_pattern: '{target_pattern}'}}\n")
    with pytest.raises(InputError, match=re.escape(message)):
        load_params(DataParams, "data", path)


def test_targets_beside_images_to_predict_on_are_passed_over(tmp_path):
    put(tmp_path, "a_1.tif", "a_1_mask.tif", "a_2.tif")
    pattern, report = compile_name_pattern(BY_NUMBER), Report()
    tiles = find_images(tmp_path, pattern, report, compile_name_pattern(r"(?P<scene>\w+)_(?P<tile>\d+)_mask\.tif"))
    assert [tile.name for tile in tiles] == ["a_1", "a_2"] and not report.offenders
