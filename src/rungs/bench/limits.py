"""The rate of matrix products of one core of this machine."""

from __future__ import annotations

import numpy as np
import torch

from rungs.bench import Row, Scale
from rungs.bench.timing import in_turns, spread
from rungs.models.arithmetic import bfloat16_in_hardware
from rungs.numerics.torch_setup import prepare_process

SIDE = 1024


def measure(scale: Scale) -> list[Row]:
    """Square matrix products of 1,024 in float32 and bfloat16, GFLOP/s."""
    prepare_process(scale.threads)
    rows = []
    factors = {
        "float32": torch.randn(SIDE, SIDE),
        "bfloat16": torch.randn(SIDE, SIDE).bfloat16(),
    }
    seconds = in_turns(
        {name: lambda m=m: m @ m for name, m in factors.items()},  # type: ignore[misc]
        3 * scale.repetitions,
    )
    hardware = bfloat16_in_hardware("cpu")
    for name, found in seconds.items():
        note = "" if name == "float32" or hardware else "emulated: this processor has no bfloat16"
        rate = 2 * SIDE**3 / float(np.median(found)) / 1e9
        rows.append(Row("matrix product", name, rate, "GFLOP/s", spread=spread(found), note=note))
    return rows
