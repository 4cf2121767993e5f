"""What the command line of `seepseg predict` says."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from seepseg.base.errors import InputError
from seepseg.base.params import load_params

PARAMS = Path("params.yaml")
MODEL = Path("models/model.safetensors")

Block = TypeVar("Block")


@dataclass(frozen=True)
class PredictOptions:
    """As `seepseg predict --help` tells."""

    scenes: Path
    out: Path
    model: Path = MODEL
    params: Path | None = None
    land: Path | None = None
    format: str = "gpkg"
    rasters: bool = False
    fast: bool = False
    overwrite: bool = False
    workers: int = 0
    scheduler: str | None = None

    def section(self, kind: type[Block], name: str) -> Block:
        """A section of the parameter file, see `read_section`."""
        return read_section(kind, name, self.params)


def check_model(path: Path) -> None:
    """Refuse a model file that is not there.

    Raises:
        InputError: it isn't.
    """
    if not path.is_file():
        raise InputError(
            f"{path} is missing: expected a model; name its file with --model FILE, or train one with `dvc repro`"
        )


def read_section(kind: type[Block], name: str, path: Path | None) -> Block:
    """A section of a parameter file, of the usual one without a path; defaults where there is no such file."""
    if path is None and not PARAMS.exists():
        return kind()
    return load_params(kind, name, path or PARAMS)
