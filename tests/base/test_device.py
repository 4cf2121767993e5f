"""Choice of device and precision."""

import numpy as np
import pytest
import torch

from seepseg.base.device import amp_dtype, autocast, choose_device, explain_full_memory, make_deterministic
from seepseg.base.errors import InputError


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_the_fastest_there_is(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto", "train.device").type == expected


def test_a_device_that_is_not_there_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError) as error:
        choose_device("cuda", "train.device")
    assert str(error.value) == "train.device: expected a device of this machine (auto, cpu), found 'cuda'"


def test_reduced_precision_only_where_the_hardware_gains(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert amp_dtype(torch.device("cuda"), True) is torch.bfloat16
    assert amp_dtype(torch.device("cuda"), False) is None
    assert amp_dtype(torch.device("mps"), True) is None
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert amp_dtype(torch.device("cuda"), True) is torch.float16
    for capabilities, expected in (
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_f": True}, None),
        ({}, None),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert amp_dtype(torch.device("cpu"), True) is expected
    assert amp_dtype(torch.device("cpu"), False) is None


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_autocast_computes_in_the_type_it_is_given(dtype):
    with autocast(torch.device("cpu"), dtype):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is (dtype or torch.float32)


def test_seed_and_threads_are_set():
    threads = torch.get_num_threads()
    try:
        make_deterministic(3, 1, torch.device("cpu"))
        first = torch.rand(4)
        make_deterministic(3, 1, torch.device("cpu"))
        assert torch.equal(first, torch.rand(4))
        assert torch.get_num_threads() == 1 and torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)


def on_cuda():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB ...")


@pytest.mark.parametrize("allocate", [on_cuda, lambda: torch.empty(1 << 55), lambda: np.empty(1 << 55)])
def test_full_memory_is_one_clear_line(allocate):
    with (
        pytest.raises(InputError, match=r"^the memory of cpu is not enough: lower train\.batch_size$"),
        explain_full_memory(torch.device("cpu"), "lower train.batch_size"),
    ):
        allocate()


def test_other_errors_pass_through():
    with pytest.raises(RuntimeError, match="size of tensor"), explain_full_memory(torch.device("cpu"), "none"):
        torch.ones(2) + torch.ones(3)
