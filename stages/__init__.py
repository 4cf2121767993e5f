"""The pipeline's stages: one module each, run as ``python -m stages.<name>`` by ``dvc repro``."""

import importlib.util
import sys

# Another Python than that of .venv is what happens to everybody who calls .venv/bin/dvc without activating it.
if importlib.util.find_spec("safetensors") is None:
    sys.exit(
        f"error: the Python that runs this stage, {sys.executable}, has not the packages of requirements.txt; "
        "activate the environment first (source .venv/bin/activate), or use `make repro`"
    )
