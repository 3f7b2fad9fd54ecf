"""The common parts of the VQ-VAE's figures: their evaluations, and the names of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rungs.models import entry
from rungs.storage import result_file
from rungs.study.settings import run_of


def shown_evaluations(paths: Any, *arrays: str) -> dict[str, list[result_file.Stored]]:
    """Evaluations by their data set."""
    found: dict[str, list[result_file.Stored]] = {}
    for path in paths:
        evaluation = result_file.read(path, only=arrays)
        found.setdefault(run_of(evaluation).dataset, []).append(evaluation)
    return found


def label(settings: Mapping[str, Any]) -> str:
    """A run in words: its family, what is not the published recipe, and the size of its latents.

    >>> label({"model": "vq", "axis": "codes", "size": 64, "network": {"decoder": "pixelcnn",
    ...     "vq": {"update": "ema", "kmeans": True, "beta": 0.25, "speed": 1.0}}})
    'VQ-VAE, PixelCNN decoder, EMA, k-means, 64 codes'
    """
    network = settings["network"]
    quantiser = network.get("vq", {})
    parts = [entry(settings["model"]).family.label]
    if network.get("prior") == "mixture":
        parts.append("mixture prior")
    if network["decoder"] == "pixelcnn":
        parts.append("PixelCNN decoder")
    if quantiser.get("update") == "ema":
        parts.append("EMA")
    if quantiser.get("kmeans"):
        parts.append("k-means")
    if quantiser.get("beta") == 0:
        parts.append("no commitment loss")
    if quantiser.get("speed", 1) != 1:
        parts.append(f"codebook at {quantiser['speed']:g} of the speed")
    parts.append(f"{settings['size']} {'codes' if settings['axis'] == 'codes' else 'channels'}")
    return ", ".join(parts)
