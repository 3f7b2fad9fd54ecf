"""Small models of dense layers with drawn weights."""

from __future__ import annotations

from typing import Any

import torch

from rungs.models import build
from rungs.models.networks import initialise

SINGLE: dict[str, Any] = {
    "prior": "gaussian",
    "prior_components": 3,
    "posterior": "diagonal",
    "posterior_components": 3,
    "likelihood": "bernoulli",
    "divergence": "analytic",
}


def built(model: str, depth: int, **network: Any) -> Any:
    sizes = {"latent_sizes": [6, 4, 3][:depth], "hidden_sizes": [16, 12, 8][:depth]}
    made: Any = build(model, 30, {**sizes, "batch_norm": False, **network})
    initialise(made, torch.Generator().manual_seed(5))
    return made.eval()
