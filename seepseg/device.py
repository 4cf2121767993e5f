"""Where the arithmetic runs, and how: device, mixed precision, threads, determinism."""

from typing import Literal

import torch

from seepseg.errors import InputError

DeviceName = Literal["auto", "cuda", "mps", "cpu"]


def choose_device(name: DeviceName, key: str) -> torch.device:
    """Choose the device to compute on.

    Args:
        name: "auto" takes CUDA, then MPS, then the CPU.
        key: the parameter that `name` comes from, for the message.

    Raises:
        InputError: the device named isn't there.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available[name]:
        there = ", ".join(kind for kind in available if available[kind])
        raise InputError(f"{key}: expected a device of this machine (auto, {there}), found '{name}'")
    return torch.device(name)


def amp_dtype(device: torch.device, wanted: bool) -> torch.dtype | None:
    """The reduced-precision type to compute in, or `None` for float32 throughout.

    Only CUDA gains from it everywhere; bfloat16 is preferred there because it needs no loss scaling.
    """
    if not wanted or device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def make_deterministic(seed: int, threads: int, device: torch.device) -> None:
    """Seed torch and choose deterministic kernels, so that one seed gives one result on one machine.

    Args:
        seed: of torch's global generators, from which the initial weights are drawn.
        threads: CPU threads; convolutions add up in another order, and so differ in bits, with another number.
        device: on a GPU a kernel without a deterministic form gives a warning instead of an error.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    torch.backends.cudnn.benchmark = False
