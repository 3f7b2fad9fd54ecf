"""The prior over codes: its probabilities, its samples, dropout."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from convolutional_models import (
    SETTINGS,
    random,
    ready,
)
from rungs.models.code_prior import CodePrior, pack_codes, unpack_codes


def code_prior(codes: int = 3, grid: tuple[int, int] = (2, 2), dropout: float = 0.0) -> CodePrior:
    pixels = 2 * math.prod(grid)
    return ready(CodePrior(pixels, codes, list(grid), 4, 2, dropout))  # type: ignore[no-any-return]


def test_the_priors_probabilities_sum_to_one() -> None:
    """Over all 81 grids of 2x2 and 3 codes."""
    prior = code_prior()
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    p = prior.log_prob(every).double().exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-6)
    assert float(p.std()) > 1e-4, "an untrained prior is not uniform"
    # samples have these frequencies
    noise = torch.rand(20_000, 4, generator=random())
    drawn = prior.sample(noise)
    index = (drawn * torch.tensor([27, 9, 3, 1])).sum(-1)
    frequency = torch.bincount(index, minlength=81) / len(drawn)
    assert float((frequency - p).abs().max()) < 5 * math.sqrt(float(p.max()) / len(drawn))


def test_codes_travel_as_bytes() -> None:
    codes = torch.randint(0, 65536, (4, 9), generator=random())
    assert torch.equal(unpack_codes(pack_codes(codes).float() / 255), codes)


def test_dropout_hides_codes_but_predicts_them() -> None:
    prior = code_prior(dropout=0.5)
    codes = torch.tensor([[0, 1, 2, 0]])
    hidden = torch.tensor([[False] * 4])
    blind = prior.logits(codes, hidden)
    assert torch.equal(blind, prior.logits(codes.flip(1), hidden))
    packed = pack_codes(codes).float() / 255
    noise = prior.training_noise(1, SETTINGS, random())
    prior.eval()
    whole = prior.objective(packed, noise, SETTINGS, 1.0).statistics["objective"]
    assert float(whole) == pytest.approx(float(prior.log_prob(codes).detach()), rel=1e-6)
