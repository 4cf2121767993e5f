"""Run the pipeline in two fresh clones and compare all that comes of it: same code and data must give the same bytes.

    python -m benchmarks.verify
    python -m benchmarks.verify --quick     # a smoke run: small parameters, the first stage

Takes twice the time of `dvc repro`. Clones the repository as it is into two temporary folders with names of different
length, runs `dvc repro` in each, without a shared cache, and compares dvc.lock, which has the hashes of all outputs,
and every file of metrics and plots. Then it compares with what is here: that may differ where these files come from
another kind of CPU, whose convolutions round in another order.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.repository import ROOT, SMALL, dvc, make_clone

COMPARED = ("metrics", "plots")


def main() -> None:
    """Run twice and compare; status 1 if the two differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smoke run: small parameters, the first stage")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        clones = [Path(folder, name) for name in ("a", "another_clone")]
        for clone in clones:
            print(f"dvc repro in {clone}", flush=True)
            make_clone(clone, SMALL if quick else {})
            dvc(clone, "repro", *(["sample"] if quick else []))
        first, second = map(outputs, clones)
    different = differences(first, second)
    print(f"two clones: {len(first)} outputs, {len(different)} differ")
    print(*(f"  {name}" for name in different), sep="\n", end="\n" if different else "")
    if different:
        sys.exit("error: two clones of one commit gave different results; please report the machine and this list")
    if quick:
        return
    here = differences(first, outputs(ROOT))
    print(f"against what is here: {len(here)} differ")
    print(*(f"  {name}" for name in here), sep="\n", end="\n" if here else "")
    if here:
        print("the files here come from other code or another kind of CPU; docs/reliability.md says how far apart")


def outputs(folder: Path) -> dict[str, str | bytes]:
    """What a clone holds: the hash of every output by dvc.lock, and the bytes of the files that git keeps."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    found: dict[str, str | bytes] = {
        out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]
    }
    tracked = subprocess.run(
        ["git", "ls-files", *COMPARED, "dvc.lock"], cwd=folder, capture_output=True, text=True, check=True
    )
    return found | {name: (folder / name).read_bytes() for name in tracked.stdout.splitlines()}


def differences(first: dict[str, str | bytes], second: dict[str, str | bytes]) -> list[str]:
    """Names of what is not the same in both."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


if __name__ == "__main__":
    main()
