"""L_k where the truth is known: a linear Gaussian model and three proposals for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rungs.errors import ConfigError
from rungs.evaluation.likelihood import estimate
from rungs.models.linear_gaussian import LinearGaussian
from rungs.numerics.seeds import generator
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.study import provenance

SEED = 0


def calibrate(settings: dict[str, Any], output: Path) -> None:
    """Estimate L_k of simulated data with the exact posterior and with poorer proposals; write all.

    One proposal is off in the same way for every image, another misses each image's posterior by an
    offset of its own, as an amortised encoder does.

    Args:
        settings: the configuration's ``calibration`` section.

    Raises:
        ConfigError: if there are too few pixels for the offsets.
    """
    prepare_process(1)
    if settings["pixels"] <= 2 * settings["units"]:
        raise ConfigError("calibration: give more than twice as many pixels as units.")

    def model(spread: float, *offsets: float) -> LinearGaussian:
        random = generator(SEED, "calibration model")
        return LinearGaussian(settings["pixels"], settings["units"], random, spread, *offsets)

    exact = model(1.0, 0.0)
    x = exact.simulate(settings["images"], generator(SEED, "calibration data"))
    arrays: dict[str, Any] = {"exact": exact.exact_log_likelihood(x)}
    proposals = {
        "exact_posterior": exact,
        "proposal": model(settings["spread"], settings["shift"]),
        "amortised": model(1.0, 0.0, settings["miss"], settings["uneven"]),
    }
    for name, proposal in proposals.items():
        found = estimate(proposal, x, settings["samples"], SEED, chunk_rows=20_000)
        arrays[f"{name}/lk"] = found.lk
        arrays[f"{name}/nested_k"] = torch.tensor(found.nested_k)
        arrays[f"{name}/nested_lk"] = found.nested_lk
    origin = {"seed": SEED, "provenance": provenance.describe()}
    result_file.write(output, arrays, {"calibration": settings, **origin})
