"""Images that a trained run's model draws from its prior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.data import DATASETS
from rungs.errors import RungsError
from rungs.evaluation.evaluate import load_model
from rungs.evaluation.vq import Pictures, uniform
from rungs.models.protocol import draw_noise, noise_sizes
from rungs.prior import FOLDER
from rungs.seeds import generator

#: images that pass the networks at once
ROWS = 250


@torch.no_grad()
def draw_samples(folder: Path, count: int, seed: int, learnt_prior: bool = False) -> np.ndarray:
    """Mean images of draws from the prior, uint8 ``[count, *shape]``; draws from the decoder where it
    is autoregressive.

    A plain autoencoder has no prior; its codes are drawn from N(0, I), as the tutorial does.

    Args:
        folder: of a trained run.
        seed: of the draws; the same seed gives the same images.
        learnt_prior: whether the codes of a run with discrete latents are drawn from the prior
            that was learnt over them, in the folder ``prior``, and not uniformly.

    Raises:
        StoreError: if the run, or its prior, is not trained.
        RungsError: if its model cannot draw samples.
    """
    model, spec = load_model(folder)
    torch.set_num_threads(spec["threads"])
    random = generator(seed, "samples")
    if spec["axis"] == "codes":
        latents = _codes(folder, model, count, random, learnt_prior)
    elif hasattr(model, "generate"):
        noise = draw_noise(noise_sizes(model), count, generator=random)
        latents = model.generate(noise)[0]
    else:
        raise RungsError(
            f"run {spec['run']}: a model of the kind {spec['model']!r} has no prior to draw samples from."
        )
    images = _decode(model, spec | {"seed": seed}, latents)
    levels = (255 * images).round().to(torch.uint8)
    return np.asarray(levels.numpy().reshape(count, *DATASETS[spec["dataset"]].shape))


def _codes(folder: Path, model: Any, count: int, random: torch.Generator, learnt: bool) -> Tensor:
    """Codes ``[count, positions]``, from the learnt prior or uniform."""
    height, width = model.grid
    noise = uniform(count, height * width, random=random)
    if not learnt:
        return (noise * model.code_count).long()
    prior, _ = load_model(folder / FOLDER)
    return torch.cat([prior.sample(part) for part in noise.split(ROWS)])


def _decode(model: Any, spec: dict[str, Any], latents: Tensor) -> Tensor:
    """Images ``[n, pixels]`` from 0 to 1."""
    if hasattr(model, "image"):  # convolutional networks
        return Pictures(model, spec).image(latents)
    return torch.cat([model.decode(part) for part in latents.split(ROWS)])
