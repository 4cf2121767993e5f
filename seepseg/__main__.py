"""The command line: ``seepseg NAME ...``, or ``python -m seepseg NAME ...``."""

import importlib
import sys

from seepseg.base.command import run_stage

COMMANDS = {
    "predict": "find and classify the slicks of whole scenes, for GIS",
    "seeps": "find the seeps behind the slicks of many passes over the same ground",
    "export": "write the networks of a model as ONNX, with a model card",
}


def main() -> None:
    """Run the command that the command line names."""
    names = "\n".join(f"  {name:10}{what}" for name, what in COMMANDS.items())
    usage = f"usage: seepseg NAME ..., with one of\n{names}\n`seepseg NAME --help` tells more"
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print(usage)
        return
    if name not in COMMANDS:
        wrong = f"error: unknown command {name}; expected one of {', '.join(COMMANDS)}\n" if name else ""
        sys.exit(wrong + usage)
    command = importlib.import_module(f"seepseg.commands.{name}")
    run_stage(lambda: command.main(sys.argv[2:]))


if __name__ == "__main__":
    main()
