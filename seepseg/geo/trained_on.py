"""What a scene's numbers are beside those that a model was trained on."""

from seepseg.base.radiometry import Radiometry

THIRD = 4 / 3  # how many times as large spacing may be, or as small, before it is told
# How far the means of uncalibrated scenes may be apart: wind alone makes an amplitude twice another.
OTHER_SCALE = 3.0


def factor_to(scene: Radiometry, trained: Radiometry) -> float:
    """What a scene's numbers are multiplied by: features of slicks are in the units of training.

    1 where both are calibrated. Where one is and the other is not, their means are made equal; and so where neither is
    and their means are far apart, as then they hardly are of one kind of product.
    """
    if (scene.is_calibrated and trained.is_calibrated) or not (scene.mean > 0 and trained.mean > 0):
        return 1.0
    factor = trained.mean / scene.mean
    if scene.is_calibrated != trained.is_calibrated:
        return factor
    return factor if max(factor, 1 / factor) > OTHER_SCALE else 1.0


def compare(scene: Radiometry, trained: Radiometry, factor: float) -> list[str]:
    """Warnings about a scene that differs from what a model was trained on, and whose numbers are multiplied."""
    warnings = []
    if differing := other_spacing(scene.spacing, trained.spacing, "as in training"):
        warnings.append(f"has {differing}")
    if scene.polarisation and trained.polarisation and scene.polarisation != trained.polarisation:
        warnings.append(f"shows polarisation {scene.polarisation}, and the model was trained on {trained.polarisation}")
    if factor != 1:
        what = (
            f"measures {_named(scene)} in other units than those of training"
            if _named(scene) == _named(trained)
            else f"measures {_named(scene)}, and the model was trained on {_named(trained)}"
        )
        warnings.append(f"{what}: multiplied its numbers by {factor:.4g}, so that their mean is that of training")
    elif "unknown" not in (scene.quantity, trained.quantity) and scene.quantity != trained.quantity:
        warnings.append(f"measures {_named(scene)}, and the model was trained on {_named(trained)}")
    return warnings


def other_spacing(spacing: float, usual: float, where: str) -> str:
    """Say that pixels differ by more than a third from the usual ones; nothing where they don't or one is unknown.

    Args:
        spacing: of pixels, in metres; 0 where it is unknown.
        usual: the same.
        where: pixels are usual, as in "as in training".
    """
    if not spacing or not usual or max(spacing / usual, usual / spacing) <= THIRD:
        return ""
    looks = "smaller" if spacing > usual else "larger"
    return f"pixels of {spacing:.3g} m, not {usual:.3g} m {where}: the same slick looks {looks}"


def _named(radiometry: Radiometry) -> str:
    if radiometry.is_calibrated:
        return f"calibrated {radiometry.quantity}"
    return "uncalibrated amplitude" if radiometry.quantity == "amplitude" else "an unknown quantity"
