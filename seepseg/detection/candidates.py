"""Candidates: dark spots of a scene that may be slicks, where the networks give some class a probability."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from seepseg.detection.tta import SceneProbs
from seepseg.evaluation.objects import Labels, label_objects

CONNECTIVITY: Literal[8] = 8  # of the pixels of a slick


def average(probs: Sequence[SceneProbs]) -> npt.NDArray[np.float32]:
    """Probability of any class by several networks, float32 (H, W): the mean of their log odds, as a probability."""
    scene, first = probs[0].scene, probs[0].foreground
    if len(probs) == 1:
        return first
    # By tile, as a scene may be empty for the most part.
    mean = np.mean([log_odds(scene.cut(each.foreground)) for each in probs], axis=0)
    # What no network has seen stays 0.
    foreground = np.where(scene.cut(first) > 0, 1 / (1 + np.exp(-mean)), 0)
    return scene.stitch(foreground.astype(np.float32))


def most_probable_classes(probs: Sequence[SceneProbs]) -> npt.NDArray[np.uint8]:
    """The class of each pixel, uint8 (H, W), 1..K, to which the networks together give most.

    Whether it is a slick at all is another question.
    """
    total = probs[0].class_probs.astype(np.float32)  # (N, K, h, w)
    for each in probs[1:]:
        total += each.class_probs
    return probs[0].scene.stitch((total.argmax(axis=1) + 1).astype(np.uint8))


def find_candidates(foreground: npt.NDArray[np.float32], threshold: float, min_area: int) -> tuple[Labels, int]:
    """Find what may be slicks: connected pixels that all reach a probability.

    Args:
        foreground: float32 (H, W), probability of any class.
        threshold: that all pixels of a candidate reach.
        min_area: pixels of the smallest.

    Returns:
        int32 (H, W), 1..n on the candidates, and n.
    """
    labels, n = label_objects((foreground >= threshold) & (foreground > 0), CONNECTIVITY)
    kept = np.bincount(labels.ravel(), minlength=n + 1)[1:] >= min_area
    numbers = np.concatenate([[0], np.where(kept, kept.cumsum(), 0)]).astype(np.int32)
    return numbers[labels], int(kept.sum())


def log_odds(probs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """log(p / (1 - p)), with probabilities kept 1e-6 away from 0 and 1."""
    p = probs.astype(np.float64).clip(1e-6, 1 - 1e-6)
    odds: npt.NDArray[np.float64] = np.log(p / (1 - p))
    return odds
