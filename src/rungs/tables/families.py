"""The columns that describe the model of a run: latent dimension, prior, posterior and likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rungs.data.image_shape import ImageShape
from rungs.models import entry


def family_columns(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``latent_dim`` (of all layers together; none for codes), ``prior``, ``posterior`` and
    ``likelihood``, by the run's network and the registry of models."""
    network, family = settings["network"], entry(settings["model"]).family
    latent = sum(network["latent_sizes"]) if "latent_sizes" in network else None
    if latent is not None and "shape" in network:
        # channels of a grid a quarter of the image's sides
        height, width = ImageShape.of(network["shape"]).grid
        latent *= height * width
    prior = network.get("prior", family.prior)
    return {
        "latent_dim": latent,
        "prior": "gaussian" if prior == "hierarchy" and settings["depth"] == 1 else prior,
        "posterior": network.get("posterior", family.posterior),
        "likelihood": network.get("likelihood", family.likelihood),
    }
