"""What the card says of images, also where that is not known."""

from types import SimpleNamespace

import pytest

from seepseg.base.radiometry import Radiometry
from seepseg.commands import model_card


@pytest.mark.parametrize(
    ("radiometry", "images", "packed"),
    [
        (
            Radiometry(quantity="gamma0", polarisation="VH", spacing=10, noise_removed=True),
            "gamma0, polarisation VH, pixel spacing 10.0 m, thermal noise removed",
            "the root of linear gamma0, times 32767.5, rounded",
        ),
        (
            Radiometry(quantity="amplitude", noise_removed=False),
            "amplitude, polarisation unknown, pixel spacing unknown, thermal noise not removed",
            "amplitude as it is recorded (DN), uncalibrated",
        ),
        (
            Radiometry(),
            "quantity unknown, polarisation unknown, pixel spacing unknown, thermal noise removed or not: unknown",
            "whole numbers as the images had them; what they measure is not recorded",
        ),
    ],
)
def test_images(radiometry, images, packed):
    assert model_card._radiometry(SimpleNamespace(networks=SimpleNamespace(radiometry=radiometry))) == images
    assert model_card._packing(radiometry, []) == packed


def test_what_is_left_out():
    classifiers = SimpleNamespace(recurrence=[])
    proposal = SimpleNamespace(threshold=0.4, min_area=3, tta=1, norm_prior_tiles=0)
    exported = SimpleNamespace(meta=SimpleNamespace(proposal=proposal, classifiers=classifiers))
    assert "other passes" not in model_card._left_out(exported)
    classifiers.recurrence = ["recur_oil"]
    assert "**other passes** over the same ground, which tell" in model_card._left_out(exported)
