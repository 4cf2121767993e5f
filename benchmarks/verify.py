"""Run the pipeline in two fresh clones and compare all that comes of it: same code and data must give the same bytes.

    python -m benchmarks.verify

Takes twice the time of `dvc repro`. Clones what is committed into two temporary folders with names of different length,
runs `dvc repro` in each, without a shared cache, and compares dvc.lock, which has the hashes of all outputs, and every
file of metrics and plots. Then it compares with what is committed: that may differ where the committed files come from
another kind of CPU, whose convolutions round in another order.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.kills import ROOT, dvc

COMPARED = ("metrics", "plots")


def main() -> None:
    """Run twice and compare; status 1 if the two differ."""
    with tempfile.TemporaryDirectory() as folder:
        clones = [Path(folder, name) for name in ("a", "another_clone")]
        for clone in clones:
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
            print(f"dvc repro in {clone}", flush=True)
            dvc(clone, "repro")
        first, second = map(outputs, clones)
    different = differences(first, second)
    print(f"two clones: {len(first)} outputs, {len(different)} differ")
    print(*(f"  {name}" for name in different), sep="\n", end="\n" if different else "")
    committed = differences(first, outputs(ROOT))
    print(f"against what is committed: {len(committed)} differ")
    print(*(f"  {name}" for name in committed), sep="\n", end="\n" if committed else "")
    if committed:
        print("the committed files come from other code or another kind of CPU; docs/reliability.md says how far apart")
    if different:
        sys.exit("error: two clones of one commit gave different results; please report the machine and this list")


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
