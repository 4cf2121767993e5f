"""What is said of scenes that differ from those of training, and what their numbers are multiplied by."""

import pytest

from seepseg.base.radiometry import Radiometry
from seepseg.geo.trained_on import compare, factor_to


def like(quantity, mean, **values):
    return Radiometry(quantity=quantity, mean=mean, **values)


@pytest.mark.parametrize(
    ("scene", "trained", "factor"),
    [
        (("sigma0", 100), ("sigma0", 5000), 1),  # calibrated: the sea is as dark as it is
        (("sigma0", 100), ("amplitude", 5000), 50),
        (("amplitude", 6000), ("sigma0", 3000), 0.5),
        # Uncalibrated: wind makes twice as much, another kind of product more.
        (("amplitude", 100), ("amplitude", 290), 1),
        (("amplitude", 100), ("amplitude", 310), 3.1),
        (("amplitude", 310), ("amplitude", 100), 100 / 310),
        # Calibrated beside uncalibrated: no number is comparable, so the means are made equal, far apart or not.
        (("unknown", 100), ("sigma0", 290), 2.9),
        (("gamma0", 100), ("unknown", 50), 0.5),
        (("gamma0", 100), ("sigma0", 5000), 1),
        (("beta0", 100), ("amplitude", 5000), 50),
        (("unknown", 100), ("unknown", 310), 3.1),
        # Without a mean nothing is known.
        (("sigma0", 0), ("amplitude", 5000), 1),
        (("amplitude", 5000), ("unknown", 0), 1),
    ],
)
def test_factors(scene, trained, factor):
    assert factor_to(like(*scene), like(*trained)) == pytest.approx(factor)
    warnings = compare(like(*scene), like(*trained), factor)
    assert any("multiplied its numbers by" in warning for warning in warnings) == (factor != 1)


def test_spacing_and_polarisation_are_compared_where_both_are_known():
    trained = like("sigma0", 1, spacing=30.0, polarisation="VV")
    for spacing, told in ((39.9, False), (40.1, True), (22.6, False), (22.4, True), (0.0, False)):
        assert bool(compare(like("sigma0", 1, spacing=spacing, polarisation="VV"), trained, 1)) == told
    assert compare(like("sigma0", 1, polarisation="VH"), trained, 1) == [
        "shows polarisation VH, and the model was trained on VV"
    ]
    assert compare(like("sigma0", 1), trained, 1) == []


def test_another_kind_is_told():
    assert compare(like("gamma0", 1), like("sigma0", 1), 1) == [
        "measures calibrated gamma0, and the model was trained on calibrated sigma0"
    ]
    assert compare(like("gamma0", 1), like("gamma0", 1), 1) == []
