from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rungs.numerics.torch_setup import prepare_process

STEPS = 20


def faults_per_step() -> float:
    """Page faults of a step that keeps a few blocks of 4 MiB and then frees them all."""
    x = torch.zeros(1 << 20)

    def step() -> None:
        kept = [x + number for number in range(8)]
        del kept

    for _ in range(5):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(STEPS):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / STEPS


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the switch")
def test_freed_memory_is_kept() -> None:
    """What glibc gives back by itself depends on what happens to lie on top of the heap; told to map
    blocks of 128 KiB and more one by one, it gives back all of them."""
    gives_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        "from test_torch_setup import *; "
    )
    counts = []
    for prepare in ("", "prepare_process(1); "):
        command = [sys.executable, "-c", f"{script}{prepare}print(faults_per_step())"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=gives_back)
        counts.append(float(done.stdout))
    without, kept = counts
    assert without > 1000
    assert kept < without / 10


def test_the_same_bits_without_filling() -> None:
    prepare_process(1)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert torch.get_num_threads() == 1
