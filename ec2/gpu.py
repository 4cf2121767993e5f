"""Whether the GPU that is paid for is used."""

import re
import shutil
import subprocess
import sys

from seepseg.base.errors import InputError

GPU_TYPES = re.compile(r"(g|p)[0-9]")  # of instances
ON_THE_CPU = "train.device=cpu"
ASK = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
ANSWER = "import torch; print(torch.version.cuda or 'none'); raise SystemExit(not torch.cuda.is_available())"


def check_gpu(command: str, instance_type: str | None) -> None:
    """Refuse to train on the CPU of a machine with a GPU, unless the command says so.

    Args:
        command: of the run.
        instance_type: of EC2, if this is an instance.

    Raises:
        InputError: the GPU has no driver, or one that PyTorch can't use.
    """
    asked = subprocess.run(ASK, capture_output=True, text=True, check=False) if shutil.which(ASK[0]) else None
    found = asked.stdout.strip() if asked is not None and asked.returncode == 0 else ""
    if ON_THE_CPU in command or not (found or GPU_TYPES.match(instance_type or "")):
        return
    remedy = f"take another image, or say -S {ON_THE_CPU}"
    if not found:
        raise InputError(f"no driver answers for the GPU of this {instance_type}; {remedy}")
    torch = subprocess.run([sys.executable, "-c", ANSWER], capture_output=True, text=True, check=False)
    if torch.returncode:
        made_for = torch.stdout.strip()
        raise InputError(f"this PyTorch, made for CUDA {made_for}, can't use the GPU (name, driver: {found}); {remedy}")
    print(f"GPU (name, driver): {found}", flush=True)
