"""L_k of a VAE of the default profile between the two bounds of annealed importance sampling."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from rungs.evaluation.ais import compare, simulate
from rungs.evaluation.annealing import Settings
from rungs.evaluation.likelihood import standard_error
from rungs.evaluation.run import load_model
from rungs.evaluation.splits import Split
from rungs.jobs.train import train
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.runs import Run
from rungs.study.settings import resolve

IMAGES, K = 50, 5000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """The default profile's VAE with ten latents, fully trained."""
    config = configuration.load([ROOT / "config" / "quick.yaml"])
    path: Path = tmp_path_factory.mktemp("bounds") / "run"
    train(resolve(config, Run.parse("mnist5k/gauss/latent10/seed0")), digits, path, 5)
    return path


def told(name: str, difference: Tensor) -> tuple[float, float]:
    mean, error = float(difference.mean()), standard_error(difference)
    print(f"\n{name}: {mean:+.3f} ({error:.3f}) nats")
    return mean, error


def test_between_both_bounds_on_simulated_images(folder: Path) -> None:
    model, _ = load_model(folder)
    x, z = simulate(model, IMAGES)
    found = compare(model, x, z, Settings(chains=8, steps=500), K)
    mean, error = told("AIS less L_k, simulated images", found["lower"] - found["lk"])
    assert mean > -3 * error
    mean, error = told("AIS backwards less L_k", found["upper"] - found["lk"])
    assert mean > -3 * error
    width, _ = told("AIS backwards less AIS", found["upper"] - found["lower"])
    assert width < 0.5, "the sandwich is too wide to show anything"


def test_not_below_l_k_on_test_images(folder: Path, digits: Path) -> None:
    model, _ = load_model(folder)
    x = Split.read(digits, "test", IMAGES).x
    found = compare(model, x, None, Settings(chains=8, steps=500), K)
    mean, error = told("AIS less L_k, test images", found["lower"] - found["lk"])
    assert mean > -3 * error
