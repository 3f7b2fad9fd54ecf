"""The importance weighted bound L_k (Burda et al. 2016, eq. 8) in bounded memory.

``L_k = E log (1/k) sum_i w_i``, ``w = p(x, z)/q(z|x)``, rises with k to ``log p(x)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from rungs.evaluation.two_phase import is_refined
from rungs.models.protocol import LatentVariableModel, draw_noise, log_weights, noise_sizes
from rungs.numerics.nested_ks import nested_ks
from rungs.numerics.seeds import LIKELIHOOD_BLOCK, generator


@dataclass(frozen=True)
class LikelihoodEstimate:
    """Estimates for each image, float64, nats.

    Attributes:
        lk: L_k with all samples, ``[images]``; NaN for an image that took fewer.
        elbo: L_1, the mean of the log-weights, ``[images]``.
        ess: effective sample size ``(sum w)^2 / sum w^2``, between 1 and k, ``[images]``; NaN likewise.
        nested_k: the ks of the nested bounds, the last being all samples.
        nested_lk: L_k averaged over disjoint blocks of the same samples, ``[ks, images]``; the last row has
            the NaNs of ``lk``.
        fewer_variance: variance of the last nested bound but one between these blocks, ``[images]``, nats
            squared; NaN likewise, and where there is no such bound.
    """

    lk: Tensor
    elbo: Tensor
    ess: Tensor
    nested_k: list[int]
    nested_lk: Tensor
    fewer_variance: Tensor


@torch.no_grad()
def sample_log_weights(
    model: LatentVariableModel,
    x: Tensor,
    samples: int,
    random: torch.Generator,
    chunk_rows: int,
) -> Tensor:
    """Return log-weights of ``samples`` draws for each image, ``[samples, batch]`` float64.

    Images are encoded once.

    Args:
        x: ``[batch, pixels]``.
        chunk_rows: images times samples that one pass through the networks holds.
    """
    context = model.encode(x)
    found = torch.empty(samples, len(x), dtype=torch.float64)
    step = max(1, chunk_rows // len(x))
    for start in range(0, samples, step):
        count = min(step, samples - start)
        noise = draw_noise(noise_sizes(model), count, len(x), generator=random)
        found[start : start + count] = log_weights(model, x, model.draw(context, noise))
    return found


def importance_bound(weights: Tensor) -> Tensor:
    """Return ``log (1/k) sum_i w_i`` from log-weights ``[k, ...]``."""
    return weights.logsumexp(0) - math.log(len(weights))


def effective_sample_size(weights: Tensor) -> Tensor:
    """Return ``(sum w)^2 / sum w^2`` from log-weights ``[k, ...]``; 1 if one sample has all the weight."""
    return (2 * weights.logsumexp(0) - (2 * weights).logsumexp(0)).exp()


def nested_bounds(weights: Tensor, ks: list[int]) -> Tensor:
    """Return L_k, averaged over the disjoint blocks of k samples, ``[ks, ...]``.

    Where each k divides the next this does not decrease with k: the logarithm of a mean is
    at least the mean of logarithms.
    """
    return torch.stack([block_bounds(weights, k).mean(0) for k in ks])


def block_bounds(weights: Tensor, k: int) -> Tensor:
    """Return L_k of every disjoint block of k samples, ``[blocks, ...]``, from log-weights
    ``[samples, ...]``."""
    blocks = weights[: len(weights) // k * k].reshape(-1, k, *weights.shape[1:])
    return blocks.logsumexp(1) - math.log(k)


def estimate(
    model: LatentVariableModel,
    x: Tensor,
    samples: int,
    seed: int,
    chunk_rows: int,
    shard: tuple[int, int] = (0, 1),
    refine_every: int = 1,
) -> LikelihoodEstimate:
    """Estimate L_k, L_1, effective sample size and nested bounds of every image.

    Args:
        x: ``[images, pixels]``; memory beyond it is bounded by ``chunk_rows`` and by the
            log-weights of one block of images.
        seed: the run's; every block of images draws from a stream of its own.
        shard: ``(i, n)``: only the i-th of n runs of consecutive blocks. The parts of all shards,
            put together in order, are what a single shard gives, bit for bit.
        refine_every: if above 1, one block of images in so many takes all samples, and the others take
            those of the last nested bound but one (:mod:`rungs.evaluation.two_phase`). What a block draws
            does not depend on the others.
    """
    ks = nested_ks(samples)
    parts = []
    blocks = list(enumerate(x.split(LIKELIHOOD_BLOCK)))
    for number, block in part_of(blocks, *shard):
        random = generator(seed, f"likelihood/{number}", str(x.device))
        refined = len(ks) == 1 or is_refined(number, refine_every, seed)
        own = ks if refined else ks[:-1]
        weights = sample_log_weights(model, block, own[-1], random, chunk_rows)
        nested, elbo = nested_bounds(weights, own), weights.mean(0)
        bound = ess = variance = torch.full_like(elbo, math.nan)
        if refined:
            bound, ess = importance_bound(weights), effective_sample_size(weights)
            if len(ks) > 1:
                variance = block_bounds(weights, ks[-2]).var(0)
        else:
            nested = torch.cat([nested, bound[None]])
        parts.append((bound, elbo, ess, nested, variance))
    lk, elbo, ess, nested, variance = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    return LikelihoodEstimate(lk, elbo, ess, ks, nested, variance)


T = TypeVar("T")


def part_of(items: list[T], i: int, n: int) -> list[T]:
    """Return the i-th of n runs of consecutive items, of sizes as equal as possible.

    >>> [part_of([1, 2, 3, 4, 5], i, 3) for i in range(3)]
    [[1], [2, 3], [4, 5]]
    """
    return items[i * len(items) // n : (i + 1) * len(items) // n]


def standard_error(values: Tensor) -> float:
    """Return the standard error of the mean over images: the sample deviation over root n."""
    return float(values.std(unbiased=True) / math.sqrt(len(values)))
