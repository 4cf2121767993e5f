"""Where the arithmetic runs, and how: device, mixed precision, threads, determinism."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from seepseg.base.errors import InputError

DeviceName = Literal["auto", "cuda", "mps", "cpu"]

# What torch calls the instructions of CPUs that multiply bfloat16 faster than float32.
BFLOAT16_UNITS = ("amx_bf16", "avx512_bf16")


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

    Only hardware with instructions for it gains: CUDA, and CPUs with Intel's AMX, which trains about twice as fast in
    bfloat16, or with AVX-512's bfloat16 products, such as AMD's since Zen 4, about 1.5 times as fast. bfloat16 is
    preferred on CUDA because it needs no loss scaling.
    """
    if not wanted or device.type not in ("cuda", "cpu"):
        return None
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return torch.bfloat16 if any(capabilities.get(name) for name in BFLOAT16_UNITS) else None
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def autocast(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """A context in which torch computes in a reduced precision where that is safe.

    Args:
        device: that computes.
        dtype: see `amp_dtype`; `None` changes nothing.
    """
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def first_line(error: Exception) -> str:
    """What an error of torch says, without the pages that may follow; the name of its kind where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


@contextmanager
def explain_full_memory(device: torch.device, remedy: str) -> Iterator[None]:
    """Turn an allocation that fails into one clear line.

    Args:
        device: whose memory it is.
        remedy: what the user can do.

    Raises:
        InputError: there is not enough memory for what the block does.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        pass
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # torch has no type for it on a CPU
            raise
    else:
        return
    raise InputError(f"the memory of {device} is not enough: {remedy}")


def make_deterministic(seed: int, threads: int, device: torch.device) -> None:
    """Seed torch and choose deterministic kernels, so that one seed gives one result on one machine.

    Args:
        seed: of torch's global generators, from which the initial weights are drawn.
        threads: CPU threads; convolutions add up in another order, and so differ in bits, with another number.
        device: on a GPU a kernel without a deterministic form gives a warning instead of an error.
    """
    # Asked for by cuBLAS, before its first product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
    # It only uncovers kernels that read what they didn't write, and filling costs a twentieth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
