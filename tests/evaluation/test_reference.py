"""L_k of one trained model, and its ELBO, against independent implementations: ten lines of numpy and
scipy in float64, and pythae's estimator, each with the same random numbers and with others."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy.special import expit, log_expit, logsumexp
from scipy.stats import norm
from torch import Tensor

from rungs.bench import peers
from rungs.evaluation.likelihood import estimate, importance_bound
from rungs.evaluation.run import load_model
from rungs.evaluation.splits import Split
from rungs.jobs.train import train
from rungs.models.protocol import draw_noise, log_weights
from rungs.numerics.seeds import generator

SettingsOf = Callable[..., dict[str, Any]]
IMAGES, K = 40, 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A VAE trained by the package on the embedded digits for some seconds: 8 latents, half of which
    it uses."""
    from rungs.paths import ROOT
    from rungs.study import profile as configuration
    from rungs.study.runs import Run
    from rungs.study.settings import resolve

    config = configuration.load([ROOT / "config" / "smoke.yaml"])
    settings = resolve(config, Run("mnist5k", "vae", 1, 0))
    settings["training"] |= {"epochs": 20}
    path: Path = tmp_path_factory.mktemp("reference") / "run"
    train(settings, digits, path, 5)
    return path


@pytest.fixture(scope="module")
def x(digits: Path) -> Tensor:
    """Test images, binarised as the package does it."""
    return Split.read(digits, "test", IMAGES).x


def reference(w: dict[str, np.ndarray], x: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Log-weights ``[k, images]`` (Burda et al. 2016, eq. 8), plainly."""

    def layer(name: str, inputs: np.ndarray) -> np.ndarray:
        return inputs @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def network(name: str, inputs: np.ndarray) -> np.ndarray:
        for part in ("first", "second"):
            inputs = layer(f"{name}.{part}", inputs)
            inputs = np.maximum(inputs, 0.01 * inputs)
        return inputs

    mean, raw = np.split(
        layer("bottom_up.0.head.affine", network("bottom_up.0.hidden", x)), 2, axis=-1
    )
    deviation = np.sqrt(np.logaddexp(0, raw) + 1e-5)
    z = mean + deviation * noise
    logits = layer("pixel_logits", network("decoder", z))
    likelihood = np.where(x == 1, log_expit(logits), log_expit(-logits)).sum(-1)
    prior, posterior = norm.logpdf(z).sum(-1), norm.logpdf(z, mean, deviation).sum(-1)
    return np.asarray(likelihood + prior - posterior)


def close(what: str, ours: Any, theirs: Any, tolerance: float) -> None:
    """Equal to so many nats; ``make test-truth`` prints by how much they differ."""
    difference = np.abs(np.asarray(ours) - np.asarray(theirs)).max()
    print(f"\n{what}: differs by up to {difference:.1e} nats")
    assert difference < tolerance


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    stored = load_file(folder / "weights.safetensors")
    return {name: array.astype(np.float64) for name, array in stored.items()}


def test_the_bound_is_that_of_ten_lines_with_the_same_noise(folder: Path, x: Tensor) -> None:
    """In float64 to rounding; in float32, as runs are evaluated, to a ten-thousandth of a nat."""
    model, settings = load_model(folder)
    noise = draw_noise([8], K, IMAGES, generator=generator(settings["seed"], "likelihood/0"))
    plain = reference(weights_of(folder), x.double().numpy(), noise[0].double().numpy())
    expected = logsumexp(plain, axis=0) - math.log(K)
    found = estimate(model, x, K, settings["seed"], chunk_rows=K * IMAGES)
    close("L_200 of an image in float32, ten lines", found.lk, expected, 1e-4)
    close("L_1 of an image in float32, ten lines", found.elbo, plain.mean(0), 1e-4)
    model.double()
    wide = x.double()
    with torch.no_grad():
        mine = log_weights(model, wide, model.draw(model.encode(wide), [noise[0].double()]))
    close("a log-weight in float64, ten lines", mine, plain, 1e-11)
    close("L_200 of an image in float64, ten lines", importance_bound(mine), expected, 1e-11)


def test_the_bound_is_that_of_ten_lines_with_other_noise(folder: Path, x: Tensor) -> None:
    """Within three standard errors of the mean difference over images, which is noise alone; four
    repetitions."""
    model, _ = load_model(folder)
    random, w = np.random.default_rng(0), weights_of(folder)
    differences = []
    for seed in range(1, 5):
        plain = reference(w, x.double().numpy(), random.normal(size=(K, IMAGES, 8)))
        ours = estimate(model, x, K, seed, chunk_rows=2000).lk.numpy()
        differences.append(ours - (logsumexp(plain, axis=0) - math.log(K)))
    difference = np.mean(differences, axis=0)
    error = difference.std(ddof=1) / math.sqrt(IMAGES)
    print(f"\nL_200, other noise, less ten lines': {difference.mean():+.3f} ({error:.3f}) nats")
    assert abs(difference.mean()) < 3 * error < 0.5


def test_the_mean_image_is_that_of_ten_lines(folder: Path) -> None:
    model, _ = load_model(folder)
    z = np.random.default_rng(1).normal(size=(5, 8))
    w = weights_of(folder)
    hidden = z
    for part in ("decoder.first", "decoder.second"):
        hidden = hidden @ w[f"{part}.weight"].T + w[f"{part}.bias"]
        hidden = np.maximum(hidden, 0.01 * hidden)
    expected = expit(hidden @ w["pixel_logits.weight"].T + w["pixel_logits.bias"])
    with torch.no_grad():
        found = model.decode(torch.from_numpy(z).float()).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


# --- pythae -------------------------------------------------------------------------------------

pythae = pytest.mark.skipif(
    not peers.available(), reason="pythae is not installed: make test-truth has it"
)
#: pythae draws so many samples of an image at a time
BATCH = 100


def pythaes_noise(seed: int, images: int, dtype: torch.dtype) -> Tensor:
    """The numbers that its estimator draws, ``[k, images, 8]``."""
    torch.manual_seed(seed)
    draws = [torch.randn(BATCH, 8, dtype=dtype) for _ in range(images * K // BATCH)]
    return torch.stack(draws).reshape(images, K, 8).movedim(0, 1)


@pythae
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-4)], ids=str
)
def test_the_bound_is_pythaes_with_the_same_noise(
    folder: Path, x: Tensor, dtype: torch.dtype, tolerance: float
) -> None:
    """Image by image."""
    model, _ = load_model(folder)
    model.to(dtype)
    peer = peers.wrap(model, x.shape[1], 8).eval()
    few = x[:10].to(dtype)
    noise = pythaes_noise(3, len(few), dtype)
    with torch.no_grad():
        ours = importance_bound(log_weights(model, few, model.draw(model.encode(few), [noise])))
        torch.manual_seed(3)
        theirs = [float(peer.get_nll(image[None], K, BATCH)) for image in few]
    close(f"L_200 of an image in {dtype}, pythae", ours, theirs, tolerance)


@pythae
def test_the_bound_is_pythaes_with_other_noise(folder: Path, x: Tensor) -> None:
    """Means over images of twenty repetitions each, within three standard errors of their difference."""
    model, _ = load_model(folder)
    peer = peers.wrap(model, x.shape[1], 8).eval()
    ours, theirs = [], []
    for seed in range(20):
        ours.append(float(estimate(model, x, K, seed, 2000).lk.mean()))
        torch.manual_seed(seed)
        with torch.no_grad():
            theirs.append(float(peer.get_nll(x, K, BATCH)))
    error = math.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / 20)
    difference = np.mean(ours) - np.mean(theirs)
    print(f"\nL_200, other noise, less pythae's: {difference:+.3f} ({error:.3f}) nats")
    assert abs(difference) < 3 * error < 0.2


@pythae
def test_the_elbo_is_pythaes_loss_with_the_same_noise(folder: Path, x: Tensor) -> None:
    """The training objective: reconstruction and closed-form KL, averaged over images."""
    model, settings = load_model(folder)
    model.double()
    peer = peers.wrap(model, x.shape[1], 8).eval()
    torch.manual_seed(4)
    noise = torch.randn(IMAGES, 8, dtype=torch.float64)
    wide = x.double()
    ours = float(model.objective(wide, [noise], settings["training"], 1.0).loss.detach())
    torch.manual_seed(4)
    theirs = float(peer({"data": wide}).loss.detach())
    close("the training objective in float64, pythae", ours, theirs, 1e-11)
