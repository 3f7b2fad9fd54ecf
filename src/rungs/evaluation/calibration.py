"""L_k where the truth is known: a linear Gaussian model and two proposals for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rungs.evaluation.likelihood import estimate
from rungs.models.linear_gaussian import LinearGaussian
from rungs.numerics.seeds import generator
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.study import provenance

SEED = 0


def calibrate(settings: dict[str, Any], output: Path) -> None:
    """Estimate L_k of simulated data with the exact posterior and with a poorer proposal; write both.

    Args:
        settings: the configuration's ``calibration`` section.
    """
    prepare_process(1)

    def model(spread: float, shift: float) -> LinearGaussian:
        random = generator(SEED, "calibration model")
        return LinearGaussian(settings["pixels"], settings["units"], random, spread, shift)

    exact = model(1.0, 0.0)
    x = exact.simulate(settings["images"], generator(SEED, "calibration data"))
    arrays: dict[str, Any] = {"exact": exact.exact_log_likelihood(x)}
    proposals = {"exact_posterior": exact, "proposal": model(settings["spread"], settings["shift"])}
    for name, proposal in proposals.items():
        found = estimate(proposal, x, settings["samples"], SEED, chunk_rows=20_000)
        arrays[f"{name}/lk"] = found.lk
        arrays[f"{name}/nested_k"] = torch.tensor(found.nested_k)
        arrays[f"{name}/nested_lk"] = found.nested_lk
    origin = {"seed": SEED, "provenance": provenance.describe()}
    result_file.write(output, arrays, {"calibration": settings, **origin})
