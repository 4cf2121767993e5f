"""Write the networks of a model as one ONNX file, and a model card beside it.

    seepseg export networks.onnx
    seepseg export networks.onnx --tile-size 256

The graph takes packed numbers, normalises them and averages the networks; docs/export.md has an example, and how to
load it into QGIS with the plugin Deepness, which needs --tile-size. It is the networks alone: what else predict does,
such as the slick classifier, is left out; the model card says what. The card is filled from metrics and dvc.lock of the
folder in which this runs, as far as they are of this model.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from seepseg.base.errors import InputError
from seepseg.base.files import fingerprint, sha256, write_bytes
from seepseg.base.version import VERSION
from seepseg.commands.model_card import Exported, model_card
from seepseg.commands.options import check_model
from seepseg.commands.run_record import MODEL, read_run
from seepseg.detection.model_file import load_model
from seepseg.models.export import export_networks


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(
        "seepseg export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT.onnx", help="the file to write, which is not there yet")
    parser.add_argument("--model", type=Path, default=Path(MODEL), help=f"the model file (default: {MODEL})")
    parser.add_argument("--card", type=Path, help="the model card to write (default: OUT.md)")
    parser.add_argument("--tile-size", type=int, help="bind height and width to so many pixels, as Deepness needs it")
    export(**vars(parser.parse_args(arguments)))


def export(
    out: Path, model: Path = Path(MODEL), card: Path | None = None, tile_size: int | None = None, root: Path = Path()
) -> None:
    """Export the networks of a model.

    Args:
        out: the ONNX file to write.
        model: the model file.
        card: the model card to write; beside `out` by default.
        tile_size: height and width that the graph is bound to, in pixels; None: it takes any.
        root: folder of the run whose files the card is filled from.

    Raises:
        InputError: a file is there already, has another suffix, or can't be read; the tile size is below 1; or the
            networks can't be exported.
    """
    if out.suffix != ".onnx":
        raise InputError(f"{out}: expected a name that ends in .onnx")
    card = card or out.with_suffix(".md")
    if card.absolute() == out.absolute():
        raise InputError(f"--card {card}: expected another file than OUT.onnx, found the same; name another one")
    for path in (out, card):
        if path.exists():
            raise InputError(f"{path} is there already; remove it or name another file")
    if tile_size is not None and tile_size < 1:
        raise InputError(f"--tile-size: expected pixels, 1 or more, found {tile_size}")
    check_model(model)
    loaded = load_model(model)
    networks = loaded.meta.networks
    of_model = fingerprint(model)
    notes = {
        "model_fingerprint": of_model,
        "software_version": VERSION,
        "radiometry": json.dumps(asdict(networks.radiometry)),
        "scaling": json.dumps(networks.scaling),
    }
    run = read_run(root, model)
    export_networks(out, loaded.networks, networks, notes, tile_size)
    exported = Exported(loaded.meta, of_model, out, sha256(out), tile_size, run)
    write_bytes(card, model_card(exported).encode())
    print(f"wrote {out} and {card}")
    if not networks.radiometry.spacing:
        print("notice: the model doesn't know the pixel spacing of its training; set it in QGIS by hand")
    if not run.metrics:
        print("notice: no scores in the card, as no evaluation of this model file was found here")
