"""The seep estimator on simulated slicks: time and memory as they grow in number, and how right it is.

python -m benchmarks.seeps_speed 10000 100000 1000000
python -m benchmarks.seeps_speed --few-passes
"""

import argparse
import resource
import time

import numpy as np
import pandas as pd

from benchmarks.simulated_passes import Simulated, simulate
from seepseg.passes.estimate import estimate_seeps
from seepseg.passes.params import SeepsParams
from seepseg.passes.seep_scores import WITHIN, match_seeps, reliability, seep_scores

PASSES = 1000
RATES = 0.05, 0.15
DENSITY = 1_000_000 / 20_000**2  # slicks per square pixel, all passes together
REPEATS = 10  # simulations for each number of few passes
COLUMNS = ["found", "precision", "recall", "place_error", "within_error_radius", "within_interval", "rate_error"]
COLUMNS += ["expected", "right"]


def many(slicks: int) -> tuple[Simulated, int]:
    """About so many slicks of 1,000 passes: half of them from seeps that show in a tenth of the passes."""
    half = slicks / PASSES / 2
    side = float(np.sqrt(slicks / DENSITY))
    seen = 0.8  # of the ground, by a pass
    found = simulate(
        np.random.default_rng(1), PASSES, round(half / np.mean(RATES) / seen), round(half / seen), side, RATES
    )
    return found, len(found.seeps)


def speed(sizes: list[int]) -> pd.DataFrame:
    """Seconds of CPU, peak memory so far and scores, by number of slicks."""
    rows = []
    for size in sizes:
        found, seeps = many(size)
        start = time.process_time()
        table = estimate_seeps(found.slicks, found.ground, SeepsParams()).table
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        scores = seep_scores(table, found.seeps, 1.0, SeepsParams().max_fdr)
        rows.append({"slicks": len(found.slicks), "seeps": seeps, "seconds": seconds, "peak_GiB": peak, **scores})
        print(pd.DataFrame(rows[-1:]).round(3).to_string(index=False), flush=True)
    return pd.DataFrame(rows)


def few_passes() -> None:
    """Scores and calibration where 60 seeps show in 20 to 90 % of 3, 6 and 12 passes, beside crowds of other slicks."""
    params = SeepsParams(draws=40)
    for passes in (3, 6, 12):
        rng, scores, bins = np.random.default_rng(passes), [], []
        for _ in range(REPEATS):
            found = simulate(rng, passes)
            table = estimate_seeps(found.slicks, found.ground, params).table
            rates = _rates(table, found, params.max_fdr)
            scores.append({**seep_scores(table, found.seeps, 1.0, params.max_fdr), **rates})
            right = match_seeps(table[["x", "y"]].to_numpy(), found.seeps, params.radius) >= 0
            bins.append(np.stack([table["p_seep"].to_numpy(), right], axis=1))
        print(f"\n{passes} passes, mean of {REPEATS} simulations")
        print(pd.DataFrame(scores)[COLUMNS].mean().round(3).to_frame().T.to_string(index=False))
        p_seep, hit = np.concatenate(bins).T
        print(reliability(p_seep, hit > 0).round(2).to_string(index=False), flush=True)


def _rates(table: pd.DataFrame, found: Simulated, max_fdr: float) -> dict[str, float]:
    """Of the reported seeps that are right: share of true recurrence rates within the 95 % interval, and mean error."""
    table = table[table["q_value"] <= max_fdr]
    seep = match_seeps(table[["x", "y"]].to_numpy(), found.seeps, WITHIN)
    table, rate = table[seep >= 0], found.rates[seep[seep >= 0]]
    held = (table["recurrence_low"] <= rate) & (rate <= table["recurrence_high"])
    return {"within_interval": float(held.mean()), "rate_error": float((table["recurrence_rate"] - rate).mean())}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slicks", nargs="*", type=int)
    parser.add_argument("--few-passes", action="store_true")
    arguments = parser.parse_args()
    speed(arguments.slicks)
    if arguments.few_passes:
        few_passes()


if __name__ == "__main__":
    main()
