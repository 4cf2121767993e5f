"""How right the seeps of a run are: against annotated slicks, known seeps and later passes, over all its grounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from seepseg.geo.seep_files import PLATFORM
from seepseg.passes.estimate import estimate_seeps
from seepseg.passes.finding import FoundSeeps
from seepseg.passes.ground import Ground
from seepseg.passes.params import SeepsParams
from seepseg.passes.published_rule import published_seeps
from seepseg.passes.reference import PASSES, WITHIN, reference_seeps, sensitivity
from seepseg.passes.seep_scores import WITHIN as FOUND_WITHIN
from seepseg.passes.seep_scores import confirmation, in_passes, match_seeps, precision_recall, seep_scores
from seepseg.passes.side_by_side import SideBySide
from seepseg.passes.slick_ends import SlickEnds

CURVE = ["reference", "estimator", "rank", "p_seep", "precision", "recall"]
SHARES = ["confirmed_by_1", "by_chance_1", "confirmed_by_2", "by_chance_2"]
CONFIRMED = ["rank", "p_seep", "seen_by_1", "seen_by_2", *SHARES]
PARTS = ("annotated", "published_rule", "known", "confirmed")  # of the document
OF_ESTIMATES = ("expected", "within_error_radius")  # scores that the published rule has not
# Scores of all places, reported or not; the others are of those that are reported.
OF_ALL = ("places", "right", "expected", "average_precision", "precision_at_recall_0_8", "recall_at_precision_0_95")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SeepMeasures:
    """What is measured.

    Attributes:
        document: for JSON.
        curve: columns `CURVE`, precision and recall of the first k.
        confirmed: columns `CONFIRMED`, see `seepseg.passes.seep_scores.confirmation`.
    """

    document: dict[str, Any]
    curve: pd.DataFrame
    confirmed: pd.DataFrame

    @classmethod
    def of(
        cls,
        found: Sequence[FoundSeeps],
        annotated: Sequence[SlickEnds],
        known: Sequence[pd.DataFrame],
        params: SeepsParams,
    ) -> "SeepMeasures":
        """Measure.

        Args:
            found: the seeps of each ground.
            annotated: the annotated slicks of each.
            known: the known seeps of each, see `seepseg.passes.known.known_on`.
            params: section `seeps`.
        """
        counts = _counts(found, params.max_fdr)
        if not found:
            return cls(counts | dict.fromkeys(PARTS), pd.DataFrame(columns=CURVE), pd.DataFrame(columns=CONFIRMED))
        together = SideBySide([each.ground for each in found], params.radius)
        slicks, marked = together.slicks([each.slicks for each in found]), together.slicks(annotated)
        table, metres = _ranked(found, together), _metres(found)
        rule = _by_rule(published_seeps(slicks, together.ground, params.radius), counts["reported"])
        reference = reference_seeps(marked.ends, marked.pass_number, PASSES, WITHIN)[["x", "y"]].to_numpy(np.float64)
        at = together.seeps(known)[["x", "y"]].to_numpy(np.float64)
        of_annotated, of_rule = (_scores(each, reference, metres, params.max_fdr) for each in (table, rule))
        of_known = score_known(found, known, params)
        if of_annotated:
            rules = sensitivity(marked.ends, marked.pass_number).itertuples(index=False)
            of_annotated["by_other_rules"] = {
                f"passes_{each.passes}_within_{each.within:g}": each.seeps for each in rules
            }
        curves = _curves({"annotated": reference, "known": at}, {"seepseg": table, "published_rule": rule})
        confirmed, summary = _confirm(slicks, marked, together, found, params)
        document = counts | dict(zip(PARTS, (of_annotated, of_rule, of_known, summary), strict=True))
        return cls(document, curves, confirmed)


def score_known(
    found: Sequence[FoundSeeps], known: Sequence[pd.DataFrame], params: SeepsParams
) -> dict[str, Any] | None:
    """Scores against known seeps, of all grounds together.

    Args:
        found: the seeps of each ground, at least one.
        known: the known seeps of each, see `seepseg.passes.known.known_on`.
        params: section `seeps`.

    Returns:
        As under `known` in the document; None without any.
    """
    together = SideBySide([each.ground for each in found], params.radius)
    table, places = _ranked(found, together), together.seeps(known)
    scores = _scores(table, places[["x", "y"]].to_numpy(np.float64), _metres(found), params.max_fdr)
    return scores and scores | {"platforms": _platforms(table, places, params.max_fdr)}


def _ranked(found: Sequence[FoundSeeps], together: SideBySide) -> pd.DataFrame:
    """The seeps of all grounds, most probable first."""
    table = together.seeps([each.seeps.table for each in found])
    return table.sort_values(["p_seep", "score"], ascending=False, kind="stable").reset_index(drop=True)


def _counts(found: Sequence[FoundSeeps], max_fdr: float) -> dict[str, Any]:
    """What was found at the false-discovery rate that is wanted."""
    reported = [each.seeps.table[each.seeps.table["q_value"] <= max_fdr] for each in found]
    return {
        "grounds": len(found),
        "passes": sum(len(each.ground.passes) for each in found),
        "reported": sum(map(len, reported)),
        "platforms": sum(int((table["kind"] == "platform").sum()) for table in reported),
        "expected_false": float(sum(table["expected_false"].max() for table in reported if len(table))),
    }


def _metres(found: Sequence[FoundSeeps]) -> float | None:
    """Spacing of pixels, where it is known on all grounds."""
    in_metres = all(each.ground.unit == "m" for each in found)
    return float(np.median([each.ground.spacing for each in found])) if in_metres else None


def _by_rule(places: pd.DataFrame, reported: int) -> pd.DataFrame:
    """The places of the published rule like an estimate; as many are reported, as it has no such choice."""
    return places.assign(
        q_value=np.where(np.arange(len(places)) < reported, 0.0, 1.0), p_seep=np.nan, error_radius=np.nan
    )


def _scores(table: pd.DataFrame, truth: Floats, metres: float | None, max_fdr: float) -> dict[str, Any] | None:
    """Scores against places; None where there are none. The error of place is in pixels, and in metres if known.

    Those of all places are under `all`, so that no one takes them for those of the reported ones.
    """
    if not len(truth):
        return None
    scores: dict[str, Any] = seep_scores(table, truth, 1.0, max_fdr)
    error = scores.pop("place_error")
    scores |= {"place_error_px": error, "place_error_m": error and metres and error * metres, "places": len(table)}
    told = [name for name in scores if name not in OF_ESTIMATES or table["p_seep"].notna().all()]
    of_reported = {name: scores[name] for name in told if name not in OF_ALL}
    return of_reported | {"all": {name: scores[name] for name in told if name in OF_ALL}}


def _platforms(table: pd.DataFrame, known: pd.DataFrame, max_fdr: float) -> dict[str, int]:
    """Known platforms, and known seeps, that are reported, and how many of each are called platforms."""
    reported = table[table["q_value"] <= max_fdr]
    places, truth = (each[["x", "y"]].to_numpy(np.float64) for each in (reported, known))
    of = match_seeps(places, truth, FOUND_WITHIN)
    is_platform = known[PLATFORM].to_numpy(bool)[of[of >= 0]]
    called = (reported["kind"] == "platform").to_numpy()[of >= 0]
    return {
        "found": int(is_platform.sum()),
        "called_platforms": int((is_platform & called).sum()),
        "seeps_called_platforms": int((~is_platform & called).sum()),
    }


def _curves(truths: Mapping[str, Floats], estimates: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Precision and recall of the first k places of each estimate, against each truth that there is."""
    curves = []
    for reference, truth in truths.items():
        for estimator, table in estimates.items():
            right = match_seeps(table[["x", "y"]].to_numpy(np.float64), truth, FOUND_WITHIN) >= 0
            curve = precision_recall(right, len(truth))
            curve = curve.assign(reference=reference, estimator=estimator, p_seep=table["p_seep"].to_numpy())
            if len(truth) and len(table):
                curves.append(curve[CURVE])
    return pd.concat(curves) if curves else pd.DataFrame(columns=CURVE)


def _confirm(
    slicks: SlickEnds, annotated: SlickEnds, together: SideBySide, found: Sequence[FoundSeeps], params: SeepsParams
) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Estimate seeps from the first half of the passes over each ground, and look for them in the second."""
    halves = [_halves(each.ground) for each in found]
    first, second = (
        np.array(
            [start + number for start, half in zip(together.first_pass, halves, strict=True) for number in half[part]]
        )
        for part in (0, 1)
    )
    if not len(first):
        return pd.DataFrame(columns=CONFIRMED), None
    table = estimate_seeps(*in_passes(slicks, together.ground, np.sort(first)), params).table
    xy = table[["x", "y"]].to_numpy(np.float64)
    later, ground = in_passes(annotated, together.ground, np.sort(second))
    curve = confirmation(xy, later, ground, params.radius, params.draws, params.seed)
    curve = curve.assign(p_seep=table["p_seep"].to_numpy())[CONFIRMED]
    reported = int((table["q_value"] <= params.max_fdr).sum())
    summary: dict[str, Any] = {"first_passes": len(first), "second_passes": len(second), "found": reported}
    at = curve.iloc[reported - 1] if reported else pd.Series(np.nan, index=CONFIRMED)
    return curve, summary | {name: None if np.isnan(at[name]) else float(at[name]) for name in SHARES}


def _halves(ground: Ground) -> tuple[list[int], list[int]]:
    """Numbers of the earlier and the later passes, by name where times are not known; none of fewer than three."""
    passes = ground.passes
    if len(passes) < 3:
        return [], []
    known = all(each.acquired is not None for each in passes)
    always = datetime.min.replace(tzinfo=UTC)
    order = sorted(range(len(passes)), key=lambda number: (passes[number].acquired if known else always, number))
    middle = (len(passes) + 1) // 2
    return order[:middle], order[middle:]
