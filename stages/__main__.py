"""Run a stage, as ``dvc repro`` does: ``python -m stages NAME``.

What concerns the command line alone is here: no stage imports it, so that a better message makes no stage run again.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

# Another Python than that of .venv is what happens to everybody who calls .venv/bin/dvc without activating it.
if importlib.util.find_spec("safetensors") is None:
    sys.exit(
        f"error: the Python that runs this stage, {sys.executable}, has not the packages of requirements.txt; "
        "activate the environment first (source .venv/bin/activate), or use `make repro`"
    )

from seepseg.base.command import run_stage

STAGES = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def main() -> None:
    """Run the stage that the command line names."""
    if len(sys.argv) < 2 or sys.argv[1] not in STAGES:
        sys.exit(f"usage: python -m stages NAME, with one of {', '.join(STAGES)}")
    name = sys.argv.pop(1)
    if len(sys.argv) > 1:
        sys.exit(
            f"error: stage {name} takes no arguments, found {' '.join(sys.argv[1:])}; its parameters are in params.yaml"
        )
    stage = importlib.import_module(f"stages.{name}")
    if "TORCHELASTIC_RUN_ID" in os.environ:  # one of several processes, which report to the one that started them
        from seepseg.training.processes import run_processes  # noqa: PLC0415 - it takes a second to import torch

        run_processes(lambda: run_stage(stage.main))
    else:
        run_stage(stage.main)


if __name__ == "__main__":
    main()
