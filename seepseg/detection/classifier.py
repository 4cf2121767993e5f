"""The slick classifier: from features of a whole slick to its class, and whether it is a slick or a look-alike.

Small ensembles of neural networks learn that from candidates in scenes that the segmentation networks were not trained
on, and from annotated slicks. There is one classifier for each inner fold, fitted without the slicks of that fold, as
there is one network: what both say of that fold is out of fold.

Where other passes over the same ground saw a slick, a further ensemble tells its class, by what those show as well, see
`seepseg.passes.recurrence`. Whether it is a slick is told without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from annotated_types import Ge
from torch import Tensor, nn

from seepseg.base.errors import InputError
from seepseg.base.params import param_block
from seepseg.data.packed import PIXELS
from seepseg.detection.ensemble import ClassifierParams, Ensemble, fit_ensemble
from seepseg.detection.slick_table import SLICK

PASSES = "passes"  # column: number of other passes that saw a slick; 0 and no column say that nothing is known


@param_block
class ClassifierMeta:
    """What belongs to the weights of slick classifiers.

    Attributes:
        class_names: names of the K classes, in the order of their target values.
        features: names of the D features, in the order of the inputs.
        classifiers: how many there are, each fitted without the slicks of the inner fold of its number.
        members: of each ensemble.
        hidden: of its layers.
        recurrence: names of the further features by which slicks are classified that other passes saw; empty where
            there were none to learn from.
        recurrence_radius: for which these were measured, in pixels; 0 without any.
    """

    class_names: list[str]
    features: list[str]
    classifiers: Annotated[int, Ge(1)]
    members: Annotated[int, Ge(1)]
    hidden: Annotated[int, Ge(1)]
    recurrence: list[str] = field(default_factory=list)
    recurrence_radius: Annotated[float, Ge(0)] = 0.0


@dataclass(frozen=True)
class SlickProbs:
    """The probabilities of n slicks.

    Attributes:
        classes: float64 (n, K), of each class, if it is a slick.
        p_slick: float64 (n,), that it matches an annotated slick.
        pixel_precision: float64 (n,), expected share of its pixels that are annotated.
    """

    classes: npt.NDArray[np.float64]
    p_slick: npt.NDArray[np.float64]
    pixel_precision: npt.NDArray[np.float64]


class SlickClassifier(nn.Module):
    """Gives slicks their probabilities, by their features.

    Args:
        meta: how to build it.
        dropout: in training.
    """

    def __init__(self, meta: ClassifierMeta, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = meta.features
        self.in_passes: list[str] = []
        self.classes, self.p_slick, self.pixel_precision = (
            Ensemble(meta.members, len(meta.features), meta.hidden, outputs, dropout)
            for outputs in (len(meta.class_names), 2, 2)
        )
        self.classes_in_passes: Ensemble | None = None
        if meta.recurrence:
            self.add_classes_in_passes(meta, dropout)
        self.eval()

    def add_classes_in_passes(self, meta: ClassifierMeta, dropout: float = 0.0) -> Ensemble:
        """Add the ensemble for slicks that other passes saw, with any weights."""
        self.in_passes = meta.features + meta.recurrence
        ensemble = Ensemble(meta.members, len(self.in_passes), meta.hidden, len(meta.class_names), dropout).eval()
        self.classes_in_passes = ensemble
        return ensemble

    def forget_passes(self) -> None:
        """Tell all classes without other passes again."""
        self.in_passes, self.classes_in_passes = [], None

    def probs(self, table: pd.DataFrame) -> SlickProbs:
        """The probabilities of slicks.

        Args:
            table: n rows, see `seepseg.detection.features.slick_features`; further columns are ignored. With a column
                `passes` and those that the classifier knows of, slicks that other passes saw are classified by these,
                too.

        Raises:
            InputError: the classifier was fitted with features that this version does not measure.
        """
        if absent := [name for name in self.features if name not in table.columns]:
            raise InputError(
                f"the model's slick classifier needs features that are not measured here: {', '.join(absent)}; "
                "use the version of the program that wrote the model, or train anew with `dvc repro`"
            )
        values = _values(table, self.features)
        classes = self.classes.probs(values)
        if self.classes_in_passes is not None and PASSES in table.columns:
            seen = seen_by_others(table)
            classes[seen] = self.classes_in_passes.probs(_values(table[seen], self.in_passes))
        return SlickProbs(classes, self.p_slick.probs(values)[:, 1], self.pixel_precision.probs(values)[:, 1])


def fit_classifier(
    annotated: pd.DataFrame, candidates: pd.DataFrame, meta: ClassifierMeta, params: ClassifierParams, min_iou: float
) -> SlickClassifier:
    """Learn to classify slicks.

    Args:
        annotated: rows of features, and of `seepseg.detection.matching.match_slicks`, of annotated slicks: what classes
            look like.
        candidates: likewise, of candidates: what look-alikes look like. Without any, only classes are learnt.
        meta: what to build.
        params: section `classify`.
        min_iou: with an annotated slick, from which a candidate matches it.

    Raises:
        InputError: there is no annotated slick to learn from.
    """
    if not len(annotated):
        raise InputError(
            "classify: expected annotated slicks in training tiles, found none; name fewer scenes in split.test_scenes"
        )
    torch.manual_seed(params.seed)  # of the first weights and of dropout
    classifier = SlickClassifier(meta, params.dropout)
    generator = torch.Generator().manual_seed(params.seed)

    _fit_classes(classifier.classes, annotated, meta.features, meta.class_names, params, generator)
    if not len(candidates):
        return classifier
    values, areas = _values(candidates, meta.features), candidates["area"].to_numpy(np.float64)
    matches = (candidates["iou"] >= min_iou).to_numpy(np.float64)
    share = candidates[[PIXELS + name for name in meta.class_names]].to_numpy(np.float64).sum(axis=1) / areas
    fit_ensemble(classifier.p_slick, values, _no_and_yes(matches), np.ones(len(values)), params, generator)
    fit_ensemble(classifier.pixel_precision, values, _no_and_yes(share), areas**params.area_exponent, params, generator)
    return classifier


def fit_in_passes(
    classifier: SlickClassifier, annotated: pd.DataFrame, meta: ClassifierMeta, params: ClassifierParams
) -> None:
    """Learn to classify slicks that other passes saw, too; all else that the classifier knows stays as it is.

    Args:
        classifier: fitted by `fit_classifier`.
        annotated: as there, with `passes` and the features of `meta.recurrence`; rows count that other passes saw, of
            which there must be one.
        meta: what to build.
        params: section `classify`.
    """
    torch.manual_seed(params.seed)
    generator = torch.Generator().manual_seed(params.seed)
    ensemble = classifier.add_classes_in_passes(meta, params.dropout)
    rows = annotated[seen_by_others(annotated)]
    _fit_classes(ensemble, rows, classifier.in_passes, meta.class_names, params, generator)


def seen_by_others(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which slicks of a table with a column `passes` other passes saw, bool (n,)."""
    seen: npt.NDArray[np.bool_] = (table[PASSES] > 0).to_numpy()
    return seen


def _fit_classes(
    ensemble: Ensemble,
    annotated: pd.DataFrame,
    features: list[str],
    class_names: list[str],
    params: ClassifierParams,
    generator: torch.Generator,
) -> None:
    """Train an ensemble on the classes of annotated slicks."""
    pixels = annotated[[PIXELS + name for name in class_names]].to_numpy(np.float64)
    classes = pixels.argmax(axis=1)
    sizes = np.bincount(classes, minlength=pixels.shape[1]).clip(min=1).astype(np.float64)
    weight = sizes[classes] ** -params.inverse_frequency_exponent * pixels.sum(axis=1) ** params.area_exponent
    one_hot = np.eye(pixels.shape[1])[classes]
    fit_ensemble(ensemble, _values(annotated, features), one_hot, weight, params, generator)


def _no_and_yes(yes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities (n,) as those of no and yes, (n, 2)."""
    return np.stack([1 - yes, yes], axis=1)


def _values(table: pd.DataFrame, features: list[str]) -> Tensor:
    return torch.from_numpy(table[features].to_numpy(np.float32, copy=True))


def average_probs(classifiers: Sequence[SlickClassifier], table: pd.DataFrame) -> SlickProbs:
    """The probabilities of each slick of a table, each row by the classifier of its network's number.

    A slick that several networks have seen has a row for each, and gets the mean of their probabilities.

    Args:
        classifiers: of the inner folds.
        table: rows of features with a column `scene`, sorted by slick.

    Returns:
        Of each slick, in the order of the table.
    """
    numbers = table.groupby(SLICK, sort=False).ngroup().to_numpy()
    networks, n = table["network"].to_numpy(), len(table.drop_duplicates(SLICK))
    rows = np.bincount(numbers, minlength=n)
    sums = [np.zeros((n, classifiers[0].classes.biases[-1].shape[-1])), np.zeros(n), np.zeros(n)]
    for network, classifier in enumerate(classifiers):
        chosen = networks == network
        probs = classifier.probs(table[chosen])
        for total, values in zip(sums, (probs.classes, probs.p_slick, probs.pixel_precision), strict=True):
            np.add.at(total, numbers[chosen], values)
    return SlickProbs(*(total / rows.reshape(-1, *[1] * (total.ndim - 1)) for total in sums))


def build_classifiers(meta: ClassifierMeta) -> nn.ModuleList:
    """The classifiers, with any weights."""
    return nn.ModuleList(SlickClassifier(meta) for _ in range(meta.classifiers))
