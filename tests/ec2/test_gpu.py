import pytest

from ec2.gpu import check_gpu
from seepseg.base.errors import InputError


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A machine whose driver answers as it is told."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def answers(text, status=0):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
        program.chmod(0o755)

    return answers


def test_a_gpu_that_pytorch_cannot_use_is_no_reason_to_train_on_the_cpu(driver, monkeypatch):
    driver("NVIDIA A10G, 535.1")
    monkeypatch.setattr("ec2.gpu.ANSWER", "print('13.0'); raise SystemExit(1)")
    with pytest.raises(InputError, match=r"made for CUDA 13.0, can't use the GPU \(name, driver: NVIDIA A10G, 535.1\)"):
        check_gpu("dvc repro", "g5.xlarge")
    check_gpu("dvc exp run -S train.device=cpu", "g5.xlarge")


def test_a_gpu_that_can_be_used_is_named(driver, monkeypatch, capsys):
    driver("NVIDIA A10G, 595.1")
    monkeypatch.setattr("ec2.gpu.ANSWER", "print('13.0')")
    check_gpu("dvc repro", "g5.xlarge")
    assert capsys.readouterr().out == "GPU (name, driver): NVIDIA A10G, 595.1\n"


@pytest.mark.parametrize("installed", [True, False])
def test_a_type_with_a_gpu_needs_a_driver(driver, monkeypatch, installed):
    if installed:
        driver("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver", 9)
    else:
        monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InputError, match=r"no driver answers for the GPU of this g5\.xlarge"):
        check_gpu("dvc repro", "g5.xlarge")
    check_gpu("dvc repro", "c7i.xlarge")
    check_gpu("dvc repro", None)
