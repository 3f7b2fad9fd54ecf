"""The evaluation of the VQ-VAE with the prior of its codes.

The posterior puts all its mass on one code a position. The ELBO therefore is ``log p(x | codes) +
log p(codes)``, every importance weight is the same, and L_k = L_1 for every k.

==========================  =======================================================================
array                       content; n is the number of test images
==========================  =======================================================================
``test/codes``              the codes, ``[n, positions]``
``test/reconstruction``     ``log p(x | codes)``, ``[n]``, nats
``test/swapped``            the same given another image's codes
``test/prior``              ``log p(codes)``, ``[n]``, nats
``test/commitment``         ``|z_e - e|^2`` averaged over positions, ``[n]``
``test/encoder_square``     ``|z_e|^2`` averaged over positions, ``[n]``
``test/mse``                mean squared error of each image's reconstruction, intensities from 0 to
                            1, ``[n]``; not for autoregressive decoders
``codebook``                ``[codes, dim]``
==========================  =======================================================================

Bounds are named as in :mod:`rungs.evaluation.bounds`, pictures as in
:mod:`~rungs.evaluation.convolutional`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.evaluation.convolutional import ROWS, ConvolutionalEvaluator, uniform
from rungs.evaluation.definitions import CONVOLUTIONAL_PICTURES
from rungs.evaluation.materials import Materials
from rungs.numerics.seeds import generator
from rungs.study.settings import EvaluationSettings

#: grids of codes that are drawn from the prior at once
DRAWN_AT_ONCE = 2000


class VQEvaluator(ConvolutionalEvaluator):
    """Measures VQ-VAEs."""

    latent_dtype = torch.long

    def arrays(self, materials: Materials) -> dict[str, Any]:
        """Return bounds, losses and use of the codes, and pictures."""
        test = self.code_arrays(materials.test.x)
        bound = (test["test/reconstruction"] + test["test/prior"]).double()
        found = {
            **test,
            "test/lk": bound,
            "test/elbo": bound,
            "test/nested_k": torch.ones(1, dtype=torch.long),
            "codebook": self.model.codebook.vectors().detach(),
        }
        if materials.brief:
            return found
        return found | {
            "test/ess": torch.ones_like(bound),
            "test/nested_lk": bound[None],
            "train/elbo": self.code_bound(materials.train.x),
            **self.pictures(materials.test.shown(CONVOLUTIONAL_PICTURES)),
        }

    @torch.no_grad()
    def code_arrays(self, x: Tensor) -> dict[str, Tensor]:
        """Return codes, log-probabilities and losses of the test images ``x [n, pixels]``."""
        model = self.model
        found: dict[str, list[Tensor]] = {}
        for block in x.split(ROWS):
            quantised = model.quantise(model.encode(block))
            codes = quantised.codes.unflatten(0, (len(block), -1))
            distance = (quantised.encoded - quantised.vectors).square().sum(-1)
            for name, value in {
                "codes": codes,
                "reconstruction": model.log_likelihood(block, codes),
                "commitment": distance.unflatten(0, codes.shape).mean(1),
                "encoder_square": (
                    quantised.encoded.square().sum(-1).unflatten(0, codes.shape).mean(1)
                ),
                **self.errors(block, codes),
            }.items():
                found.setdefault(name, []).append(value)
        arrays = {f"test/{name}": torch.cat(parts) for name, parts in found.items()}
        codes = arrays["test/codes"]
        return arrays | {
            "test/swapped": self.swapped(x, codes),
            "test/prior": self.log_prior(codes),
        }

    @torch.no_grad()
    def pictures(self, originals: Tensor) -> dict[str, Any]:
        """Return pictures of reconstructions and of draws; see :meth:`picture_arrays`."""
        random = generator(self.settings["seed"], "pictures")
        drawn = self.draw(CONVOLUTIONAL_PICTURES, random)
        return self.picture_arrays(originals, self.model.codes(originals), drawn, random)

    def log_prior(self, codes: Tensor) -> Tensor:
        """Return ``log p(codes)`` of ``codes [n, positions]``, ``[n]``, nats: learnt, or uniform."""
        if self.prior is None:
            return torch.full((len(codes),), -codes.shape[1] * math.log(self.model.code_count))
        return torch.cat([self.prior.log_prob(part) for part in codes.split(ROWS)])

    @torch.no_grad()
    def code_bound(self, x: Tensor) -> Tensor:
        """Return ``log p(x, codes)`` of each image of ``x [n, pixels]``, ``[n]``, nats."""
        parts = []
        for part in x.split(ROWS):
            codes = self.model.codes(part)
            parts.append(self.model.log_likelihood(part, codes) + self.log_prior(codes))
        return torch.cat(parts)

    def recomputed(self, x: Tensor, evaluation: EvaluationSettings) -> dict[str, np.ndarray]:
        """Return the bound of the first test images again; it needs no draws."""
        return {"test/lk": self.code_bound(x).numpy()}

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Return codes from the learnt prior, or uniform ones, ``[count, positions]``."""
        noise = uniform(count, math.prod(self.model.grid), random=random)
        if self.prior is None:
            return (noise * self.model.code_count).long()
        return torch.cat([self.prior.sample(part) for part in noise.split(DRAWN_AT_ONCE)])

    def latents(self, x: Tensor, random: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        """Return the codes ``[n, positions]`` twice: they are their own draws."""
        codes: Tensor = self.model.codes(x)
        return [(codes, codes)]

    def bound(self, x: Tensor, k: int, seed: int) -> Tensor:
        """Return ``log p(x, codes)``, which L_k is for every k, float64 ``[n]``, nats."""
        return self.code_bound(x).double()
