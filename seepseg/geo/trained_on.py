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
    quantities = {scene.quantity, trained.quantity}
    if quantities == {"sigma0"} or not (scene.mean > 0 and trained.mean > 0):
        return 1.0
    factor = trained.mean / scene.mean
    if quantities == {"sigma0", "amplitude"}:
        return factor
    return factor if max(factor, 1 / factor) > OTHER_SCALE else 1.0


def compare(scene: Radiometry, trained: Radiometry) -> list[str]:
    """Warnings about a scene that differs from what a model was trained on."""
    warnings = []
    if scene.spacing and trained.spacing:
        ratio = scene.spacing / trained.spacing
        if max(ratio, 1 / ratio) > THIRD:
            warnings.append(
                f"has pixels of {scene.spacing:.3g} m, and the model was trained on {trained.spacing:.3g} m: slicks "
                f"look {'smaller' if ratio > 1 else 'larger'} to it than those it knows"
            )
    if scene.polarisation and trained.polarisation and scene.polarisation != trained.polarisation:
        warnings.append(f"shows polarisation {scene.polarisation}, and the model was trained on {trained.polarisation}")
    factor = factor_to(scene, trained)
    if factor != 1:
        warnings.append(
            f"measures {_named(scene)}, and the model was trained on {_named(trained)}: multiplied its numbers by "
            f"{factor:.4g}, so that their mean is that of training"
        )
    elif "unknown" not in (scene.quantity, trained.quantity) and scene.quantity != trained.quantity:
        warnings.append(f"measures {_named(scene)}, and the model was trained on {_named(trained)}")
    return warnings


def _named(radiometry: Radiometry) -> str:
    names = {"unknown": "an unknown quantity", "amplitude": "uncalibrated amplitude", "sigma0": "calibrated sigma0"}
    return names[radiometry.quantity]
