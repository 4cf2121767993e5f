"""What scenes have in common, and in what they differ."""

from pathlib import Path

import pytest

from seepseg.base.radiometry import Radiometry
from seepseg.geo.scene_records import SceneRecord, common_radiometry, differing_kinds


def records(**values):
    """A scene for each value of a field of their radiometry."""
    ((field, each),) = values.items()
    return [SceneRecord("s", Path("s.tif"), (1, 1), None, None, Radiometry(**{field: value}), ()) for value in each]


@pytest.mark.parametrize(
    ("each", "common"),
    [([False, False], False), ([True, True], True), ([True, False], None), ([None, False], None), ([None], None)],
)
def test_noise_is_known_to_be_removed_or_not_where_all_scenes_agree(each, common):
    assert common_radiometry(records(noise_removed=each)).noise_removed is common


def test_what_differs_by_more_than_a_third_is_told():
    assert differing_kinds(records(spacing=[30.0, 39.9, 0.0])) == []
    assert differing_kinds(records(spacing=[30.0, 40.1])) == [
        "pixels of 40.1 m, not 30 m as in other scenes: the same slick looks smaller"
    ]
    assert differing_kinds(records(quantity=["gamma0", "sigma0", "sigma0"])) == ["quantity sigma0 of 2 and gamma0 of 1"]
