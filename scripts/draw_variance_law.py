"""Measure and draw docs/images/variance_law.png: the second moments of the latents, epoch by epoch.

Usage: ``python scripts/draw_variance_law.py`` (some minutes of one core); with ``--draw`` only the picture is
made again, from docs/images/variance_law.csv.

A VAE with ten latents is trained by the default profile's recipe (``gauss``). It is then trained on twice
from the same weights by the recipe of ``gauss-affine``, with and without the learnt affine map.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rungs.data.binarise import model_input
from rungs.data.prepared import read_images
from rungs.evaluation.moments import moments
from rungs.evaluation.stationarity import scale_derivatives
from rungs.figures.palettes import series
from rungs.figures.style import panels
from rungs.numerics.seeds import generator
from rungs.numerics.torch_setup import prepare_process
from rungs.storage.tensors import save_tensors
from rungs.study.layers import DEFAULT
from rungs.study.layout import Layout
from rungs.study.profile import load
from rungs.study.runs import Run
from rungs.study.settings import resolve
from rungs.training.schedules import total_epochs
from rungs.training.trainer import Trainer

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
LATENTS = 10
#: epochs between two measurements, and antithetic pairs of draws for R
EVERY, PAIRS = 3, 4
PHASES = {
    "gauss": "as usual (gauss)",
    "gauss trained on": "trained on",
    "gauss-affine": "trained on with an affine map (gauss-affine)",
}


def measure(trainer: Trainer, phase: str, offset: int) -> pd.DataFrame:
    """Train to the end; return S and R of every latent every few epochs."""
    rows = [row(trainer, phase, offset)] if offset else []
    epochs = total_epochs(trainer.recipe)
    while trainer.epoch < epochs:
        trainer.run_epoch()
        if trainer.epoch % EVERY == 0 or trainer.epoch == epochs:
            rows.append(row(trainer, phase, offset))
    return pd.concat(rows, ignore_index=True)


def row(trainer: Trainer, phase: str, offset: int) -> pd.DataFrame:
    """Return S and R of every latent over all training images, by the present weights."""
    model, random = trainer.model, generator(trainer.epoch, "variance law")
    model.eval()
    r, means, variances = torch.zeros(LATENTS, dtype=torch.float64), [], []
    for _ in range(PAIRS):
        for block in trainer.images.split(1000):
            x = model_input(block, random, True)
            with torch.no_grad():
                posterior = model.posterior(x)
            noise = torch.randn(len(x), LATENTS, generator=random)
            r += scale_derivatives(model, x, posterior, noise).double().sum(0)
            means.append(posterior.mean)
            variances.append(posterior.variance)
    model.train()
    found = moments(torch.cat(means).numpy(), torch.cat(variances).numpy())
    return pd.DataFrame(
        {
            "phase": phase,
            "epoch": offset + trainer.epoch,
            "latent": np.arange(LATENTS),
            "S": found.variance,
            "R": (r / (PAIRS * len(trainer.images))).numpy(),
        }
    )


def run_all() -> pd.DataFrame:
    """Train the three phases; return their measurements."""
    prepare_process(1)
    config = load([DEFAULT])
    images = torch.from_numpy(read_images(Path(Layout.data("mnist5k")), "train")).flatten(1)
    first, onward = (
        resolve(config, Run("mnist5k", variant, LATENTS, 0, "latent"))
        for variant in ("gauss", "gauss-affine")
    )
    plain = onward | {"network": onward["network"] | {"affine_speed": 0.0}}
    base = Trainer(first, images, "cpu")
    tables = [measure(base, "gauss", 0)]
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "weights.safetensors"
        save_tensors(start, base.model.state_dict(), {})
        for phase, settings in (("gauss trained on", plain), ("gauss-affine", onward)):
            trainer = Trainer(settings, images, "cpu", start)
            tables.append(measure(trainer, phase, base.epoch))
    return pd.concat(tables, ignore_index=True)


def draw(table: pd.DataFrame) -> None:
    """Write the picture."""
    figure, axes = panels(1, 2, {"width": 7.0, "panel_height": 2.6})
    colours = dict(zip(PHASES, (look["color"] for look in series(len(PHASES))), strict=True))
    for axis, name, rest in zip(axes[0], ("S", "R"), (1.0, 0.0), strict=True):
        axis.axhline(rest, color="black", linewidth=0.8)
        for phase, part in table.groupby("phase", sort=False):
            by_latent = part.pivot(index="epoch", columns="latent", values=name)
            mean = by_latent.mean(axis=1)
            axis.plot(mean.index, mean, color=colours[phase], linewidth=1.8, label=PHASES[phase])
            if name == "S":  # the R of single latents swings by a nat and more
                axis.plot(
                    by_latent.index, by_latent, color=colours[phase], alpha=0.35, linewidth=0.7
                )
        axis.set_xlabel("epoch")
    axes[0][0].set_ylabel(r"$S = \mathrm{Var}(\mu) + E[\sigma^2]$")
    axes[0][1].set_ylabel("R, mean over latents, nats")
    axes[0][0].set_ylim(0.9, 1.6)
    axes[0][1].set_ylim(-0.4, 0.6)
    axes[0][0].legend(frameon=False, fontsize=7)
    figure.savefig(IMAGES / "variance_law.png", dpi=150)


if __name__ == "__main__":
    stored = IMAGES / "variance_law.csv"
    if "--draw" not in sys.argv:
        run_all().round(4).to_csv(stored, index=False)
    draw(pd.read_csv(stored))
