"""Estimates of costs: counted exactly, and of the measured order of magnitude."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from rungs.jobs import cost
from rungs.jobs.train import train
from rungs.models import build
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.runs import Run
from rungs.study.settings import resolve


def with_pack(config: dict[str, Any], size: int) -> dict[str, Any]:
    return config | {"compute": config["compute"] | {"pack": size}}


@pytest.fixture(scope="module")
def paper() -> dict[str, Any]:
    return configuration.load([ROOT / "config" / "paper.yaml"])


@pytest.mark.parametrize("model", ["vae", "lvae"])
@pytest.mark.parametrize("depth", [1, 3, 5])
def test_counted_multiply_adds_are_the_weights(
    paper: dict[str, Any], model: str, depth: int
) -> None:
    """A forward pass uses every weight matrix once."""
    spec = resolve(paper, Run("mnist", "vae" if model == "vae" else "lvae", depth, 0))
    built: Any = build(model, 784, spec["network"])
    weights = sum(p.numel() for p in built.parameters() if p.dim() == 2)
    assert sum(cost.multiply_adds(spec, 784)) == weights


def test_costs_grow_with_what_is_asked(paper: dict[str, Any]) -> None:
    run = Run("mnist", "lvae-bn-wu", 5, 0)
    base = cost.estimate(paper, run)
    longer = copy.deepcopy(paper)
    longer["training"]["epochs"] *= 2
    assert cost.estimate(longer, run).training_seconds == pytest.approx(2 * base.training_seconds)
    more = copy.deepcopy(paper)
    more["evaluation"]["samples"] *= 2
    assert cost.estimate(more, run).evaluation_seconds > 1.9 * base.evaluation_seconds
    assert cost.mem_mb(1000, 2) == 2 * cost.mem_mb(1000, 1)
    assert cost.runtime_minutes(600, 2) == 2 * cost.runtime_minutes(600, 1)
    totals = cost.summarise(paper)
    assert totals["gpu_hours"] == 0
    on_gpu = cost.summarise(paper | {"compute": paper["compute"] | {"device": "cuda"}})
    assert on_gpu["gpu_hours"] > 0
    packed = cost.summarise(with_pack(paper, 20))
    assert packed["submitted_jobs"] < totals["submitted_jobs"] / 8


def test_estimated_costs_are_near_the_measured(
    smoke_config: dict[str, Any], digits: Path, tmp_path: Path
) -> None:
    """Within a factor of ten on any machine: units and orders of magnitude are right."""
    import json

    run = Run("mnist5k", "lvae-bn-wu", 5, 0)
    spec = resolve(smoke_config, run)
    train(spec, digits, tmp_path, 5)
    measured = json.loads((tmp_path / "training-cost.json").read_text())
    estimated = cost.estimate(smoke_config, run)
    assert 0.1 < measured["seconds"] / estimated.training_seconds < 10
    assert torch.get_num_threads() == 1
