"""The path of annealed importance sampling, summed up by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rungs.evaluation.geometric_path import Densities, State, path
from rungs.models import build
from rungs.models.networks import initialise


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("prior", "posterior"), [("gaussian", "diagonal"), ("mixture", "mixture"), ("vamp", "diagonal")]
)
def test_the_path_ends_at_the_joint_density(prior: str, posterior: str) -> None:
    """Its two ends, summed up by hand from the model's own densities, and its gradient by differences,
    for priors and posteriors that do not factorise."""
    network = {
        **{"latent_sizes": [3], "hidden_sizes": [8], "batch_norm": False, "prior": prior},
        **{"prior_components": 4, "posterior": posterior, "posterior_components": 2},
        **{"likelihood": "bernoulli", "divergence": "sampled"},
    }
    model: Any = build("single", 10, network)
    initialise(model, generator(0))
    model.double().eval()
    x = (torch.rand(5, 10, generator=generator(1)) < 0.5).double()
    z = torch.randn(2, 5, 3, generator=generator(2), dtype=torch.float64)
    q, p = model.encode(x)
    joint = p.log_density(z).sum(-1) + model.log_likelihood(x, z)
    for start, first in (("prior", p), ("posterior", q)):
        densities = Densities(model, x, start)
        state = State.at(densities, z)
        torch.testing.assert_close(state.log_density(1.0), joint)
        torch.testing.assert_close(state.log_density(0.0), first.log_density(z).sum(-1))
        assert densities.draw(7, generator(3)).shape == (7, 5, 3)
        ahead, back = (
            State.at(densities, z + e * torch.eye(3, dtype=torch.float64)[1]).log_density(0.3)
            for e in (1e-6, -1e-6)
        )
        torch.testing.assert_close(
            state.gradient(0.3)[..., 1], (ahead - back) / 2e-6, rtol=1e-6, atol=1e-6
        )


def test_the_path_rises_from_0_to_1() -> None:
    found = path(100)
    assert (found[0], found[-1], len(found)) == (0.0, 1.0, 101)
    assert found == sorted(found)
