"""Learnt priors: how a mixture starts, and the memory that it takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from densities import generator
from rungs.models.priors import MixturePrior
from rungs.probability.divergences import (
    lower,
    upper,
)
from rungs.probability.gaussian import DiagonalGaussian


def test_the_initial_mixture_is_about_the_unit_gaussian_and_has_no_twins() -> None:
    prior = MixturePrior(1000, 10)
    prior.initialise(generator())
    density = prior()
    assert density.mean.abs().max().item() < 0.1
    total = density.means.var(0) + density.variances.mean(0)
    assert bool(((total - 1).abs() < 0.15).all())
    assert float(torch.pdist(density.means).min()) > 0.3


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for value in found if isinstance(found, tuple | list) else (found,):
            if isinstance(value, Tensor):
                self.elements = max(self.elements, value.untyped_storage().nbytes() // 4)
        return found


@pytest.mark.parametrize("estimate", ["sampled", "upper", "lower"])
def test_no_tensor_of_batch_by_components_by_units(estimate: str) -> None:
    """256 x 1000 x 50, forward and backward: nothing larger than a few [batch, components]."""
    prior = MixturePrior(1000, 50)
    prior.initialise(generator())
    mean = torch.randn(256, 50, generator=generator(), requires_grad=True)
    with Largest() as largest:
        q = DiagonalGaussian(mean, torch.full((256, 50), 0.1))
        if estimate == "sampled":
            value = prior().log_density(q.sample(torch.randn(256, 50)))
        else:
            value = {"upper": upper, "lower": lower}[estimate](q, prior())
        torch.autograd.backward(value.sum())
    assert largest.elements <= 256 * 1000
    assert mean.grad is not None
    assert bool(torch.isfinite(mean.grad).all())
