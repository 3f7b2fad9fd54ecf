"""What is measured on a VQ-VAE, with the prior of its codes, and on the continuous VAE with the same
networks. Both have the same discretised likelihood, so their bounds compare.

The VQ-VAE's posterior puts all its mass on one code a position. Its ELBO therefore is ``log p(x |
codes) + log p(codes)``, every importance weight is the same, and L_k = L_1 for every k.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rungs.evaluation.aggregate import aggregate_arrays
from rungs.evaluation.definitions import PRIOR_OBJECTIVE
from rungs.evaluation.pictures import CONVOLUTIONAL_PICTURES, as_bytes
from rungs.evaluation.standard import (
    COST_FILE,
    Split,
    elbo,
    evaluation_key,
    likelihood_arrays,
    load_model,
    merged,
    unit_arrays,
)
from rungs.models.code_prior import CodePrior
from rungs.models.protocol import draw_noise
from rungs.numerics.seeds import generator
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.atomic import read_seconds
from rungs.study import provenance
from rungs.study.code_prior_settings import FOLDER
from rungs.training.trainer import write_cost

#: images that pass the networks at once
ROWS = 100
#: keeps uniform noise off 0 and 1
TINY = 1e-6


def evaluate(
    folder: Path,
    data: Path,
    settings: dict[str, Any],
    output: Path | None = None,
    shards: Sequence[Path] = (),
) -> None:
    """Measure a trained run; writes ``evaluation.h5`` and ``evaluation-cost.json``.

    Args:
        folder: the run's; with a learnt prior it has the folder ``prior``.
        settings: the configuration's ``evaluation`` section as the run sees it; ``prior``, the key
            of the prior's training, is there if there is one.
        output: where to write; by default ``folder``.
        shards: parts of the continuous VAE's likelihood.
    """
    started = time.perf_counter()
    model, spec = load_model(folder)
    prepare_process(spec["threads"])
    test = Split.read(data, "test", settings["images"], model.binary)
    train = Split.read(data, "train", settings["train_images"], model.binary)
    if spec["axis"] == "codes":
        prior, learnt = None, {}
        if "prior" in settings:
            prior, _ = load_model(folder / FOLDER)
            history = result_file.read(folder / FOLDER / "training.h5", only=["objective"])
            learnt = {PRIOR_OBJECTIVE: history["objective"]}
        arrays = discrete_arrays(model, prior, spec, test, train) | learnt
    else:
        arrays = {
            "train/elbo": elbo(model, train.x, spec["seed"], ROWS),
            **(merged(shards) if shards else likelihood_arrays(model, spec, test, settings)),
            **unit_arrays(model, spec, test, settings),
            **continuous_arrays(model, spec, test),
            **aggregate_arrays(model, spec["seed"], train.x, test.x, ROWS),
        }
    attributes = {
        "run": spec,
        "evaluation": settings,
        "key": evaluation_key(folder, data, settings),
        "provenance": provenance.describe(),
    }
    output = folder if output is None else output
    seconds = time.perf_counter() - started
    seconds += sum(read_seconds(p.with_suffix(".json")) for p in shards)
    write_cost(output / COST_FILE, seconds, len(test.x), spec)
    result_file.write(output / "evaluation.h5", {"test/labels": test.labels, **arrays}, attributes)


def uniform(*shape: int, random: torch.Generator) -> Tensor:
    """Uniform noise on (0, 1)."""
    return torch.rand(*shape, generator=random).clamp(TINY, 1 - TINY)


def log_prior(model: Any, prior: CodePrior | None, codes: Tensor) -> Tensor:
    """``log p(codes)`` of ``codes [n, positions]``, ``[n]``, nats: learnt, or uniform."""
    if prior is None:
        return torch.full((len(codes),), -codes.shape[1] * math.log(model.code_count))
    return torch.cat([prior.log_prob(part) for part in codes.split(ROWS)])


@torch.no_grad()
def discrete_arrays(
    model: Any, prior: CodePrior | None, spec: dict[str, Any], test: Split, train: Split
) -> dict[str, Any]:
    """Bounds, losses and use of the codes of a VQ-VAE, and its pictures."""
    found: dict[str, list[Tensor]] = {}
    for x in test.x.split(ROWS):
        quantised = model.quantise(model.encode(x))
        codes = quantised.codes.unflatten(0, (len(x), -1))
        distance = (quantised.encoded - quantised.vectors).square().sum(-1)
        for name, value in {
            "codes": codes,
            "reconstruction": model.log_likelihood(x, codes),
            # with another image's codes: what the decoder loses is what it owes to the codes
            "swapped": model.log_likelihood(x, codes.roll(1, 0)),
            "commitment": distance.unflatten(0, codes.shape).mean(1),
            "encoder_square": quantised.encoded.square().sum(-1).unflatten(0, codes.shape).mean(1),
        }.items():
            found.setdefault(name, []).append(value)
    arrays: dict[str, Any] = {f"test/{name}": torch.cat(parts) for name, parts in found.items()}
    arrays["test/prior"] = log_prior(model, prior, arrays["test/codes"])
    bound = (arrays["test/reconstruction"] + arrays["test/prior"]).double()
    arrays |= {
        "test/lk": bound,
        "test/elbo": bound,
        "test/ess": torch.ones_like(bound),
        "test/nested_k": torch.ones(1, dtype=torch.long),
        "test/nested_lk": bound[None],
        "train/elbo": train_bound(model, prior, train.x),
        "codebook": model.codebook.vectors(),
    }
    pictures = Pictures(model, spec)
    noise = uniform(CONVOLUTIONAL_PICTURES, arrays["test/codes"].shape[1], random=pictures.random)
    drawn = (noise * model.code_count).long() if prior is None else prior.sample(noise)
    arrays |= pictures.arrays(test.x, model.codes(test.x[:CONVOLUTIONAL_PICTURES]), drawn)
    return arrays


@torch.no_grad()
def train_bound(model: Any, prior: CodePrior | None, x: Tensor) -> Tensor:
    """The bound of training images, ``[n]``, nats."""
    parts = []
    for part in x.split(ROWS):
        codes = model.codes(part)
        parts.append(model.log_likelihood(part, codes) + log_prior(model, prior, codes))
    return torch.cat(parts)


@torch.no_grad()
def continuous_arrays(model: Any, spec: dict[str, Any], test: Split) -> dict[str, Any]:
    """What a continuous VAE has in common with the VQ-VAE: one draw of the latents an image."""
    random = generator(spec["seed"], "latents")
    found: dict[str, list[Tensor]] = {}
    for x in test.x.split(ROWS):
        noise = draw_noise(model.latent_sizes, len(x), generator=random)
        (layer,) = model.draw(model.encode(x), noise)
        for name, value in {
            "reconstruction": model.log_likelihood(x, layer.sample),
            "swapped": model.log_likelihood(x, layer.sample.roll(1, 0)),
            "kl": layer.kl().sum(-1),
        }.items():
            found.setdefault(name, []).append(value)
    arrays: dict[str, Any] = {f"test/{name}": torch.cat(parts) for name, parts in found.items()}
    pictures = Pictures(model, spec)
    originals = test.x[:CONVOLUTIONAL_PICTURES]
    noise = draw_noise(model.latent_sizes, len(originals), generator=pictures.random)
    (layer,) = model.draw(model.encode(originals), noise)
    drawn = draw_noise(model.latent_sizes, CONVOLUTIONAL_PICTURES, generator=pictures.random)
    return arrays | pictures.arrays(test.x, layer.sample, model.generate(drawn)[0])


class Pictures:
    """Samples and reconstructions as uint8, and the reconstructions' squared error.

    They are mean images, or draws from the decoder where it is autoregressive.
    """

    def __init__(self, model: Any, spec: dict[str, Any]) -> None:
        self.model = model
        self.random = generator(spec["seed"], "pictures")
        self.autoregressive = spec["network"]["decoder"] == "pixelcnn"

    def image(self, latents: Tensor) -> Tensor:
        """Images ``[n, pixels]`` of latents ``[n, ...]``."""
        if not self.autoregressive:
            parts = [self.model.image(part) for part in latents.split(ROWS)]
            return torch.cat(parts)
        shape = self.model.shape
        planes = (1 + shape.channels, shape.height, shape.width)
        drawn: Tensor = self.model.image(
            latents, uniform(len(latents), *planes, random=self.random)
        )
        return drawn

    def arrays(self, x: Tensor, latents: Tensor, drawn: Tensor) -> dict[str, Any]:
        """``pictures/...`` and ``pictures/mse``, the mean squared error of intensities from 0 to 1
        of each reconstruction.

        Args:
            x: test images.
            latents: of the first :data:`CONVOLUTIONAL_PICTURES` of them.
            drawn: from the prior.
        """
        originals = x[: len(latents)]
        # together: pixel by pixel, twice the images take little longer than half of them
        reconstructions, samples = self.image(torch.cat([latents, drawn])).split(
            [len(latents), len(drawn)]
        )

        return {
            "pictures/originals": as_bytes(originals),
            "pictures/reconstructions": as_bytes(reconstructions),
            "pictures/samples": as_bytes(samples),
            "pictures/mse": (reconstructions - originals).square().mean(-1),
        }
