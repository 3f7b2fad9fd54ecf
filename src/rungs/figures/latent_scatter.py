"""``latent_scatter``: posteriors of test digits in the plane of two latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from rungs.figures.style import PALETTE, nothing_to_show, panels
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of
from rungs.training.schedules import total_epochs

NAMES = ("layers/1/posterior_mean", "layers/1/posterior_variance", "posterior/scale", "test/labels")
LIMIT = 4.2


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A panel a run: means of q(z|x) and their one-sigma ellipses, coloured by class where there are
    classes; the circles hold 39 % and 86 % of N(0, I)."""
    read = [result_file.read(path, only=NAMES) for path in files["evaluation"]]
    shown = [e for e in read if NAMES[0] in e.arrays and e[NAMES[0]].shape[1:] == (2,)]
    if not shown:
        return nothing_to_show(settings)
    dataset = run_of(shown[0]).dataset
    shown = [e for e in shown if run_of(e).dataset == dataset]
    figure, axes = panels(1, len(shown), settings)
    for axis, evaluation in zip(axes[0], shown, strict=True):
        labels = evaluation["test/labels"]
        for image in range(min(settings["images"], len(labels))):
            mean = evaluation[NAMES[0]][image]
            width, height, angle = ellipse(covariance(evaluation, image))
            colour = PALETTE[labels[image] % 10]
            style = {"facecolor": (*colour, 0.25), "edgecolor": colour, "lw": 0.5}
            axis.add_patch(Ellipse(tuple(mean), 2 * width, 2 * height, angle=angle, **style))
            axis.plot(*mean, ".", color=colour, ms=1.5)
        for radius in (1, 2):
            axis.add_patch(
                Ellipse((0, 0), 2 * radius, 2 * radius, fill=False, ec="black", lw=0.6, ls="--")
            )
        axis.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal", xlabel="$z_1$")
        trained = settings_of(evaluation)
        kind = "full covariance, " if trained["network"]["posterior"] == "full" else ""
        axis.set_title(f"{kind}{total_epochs(trained['training'])} epochs")
    axes[0][0].set_ylabel("$z_2$")
    present = np.unique(np.concatenate([e["test/labels"] for e in shown]))[:10]
    if present[0] < 0:
        return figure
    handles = [axes[0][0].plot([], [], "o", color=PALETTE[c % 10], ms=3)[0] for c in present]
    figure.legend(handles, list(map(str, present)), loc="outside lower center", ncols=len(present))
    return figure


def covariance(evaluation: result_file.Stored, image: int) -> np.ndarray:
    """The covariance of q(z|x) of an image, ``[2, 2]``."""
    if "posterior/scale" in evaluation.arrays:
        scale = evaluation["posterior/scale"][image]
        return np.asarray(scale @ scale.T)
    return np.diag(evaluation["layers/1/posterior_variance"][image])


def ellipse(matrix: np.ndarray) -> tuple[float, float, float]:
    """Half axes and angle (degrees) of the one-sigma ellipse of a covariance.

    >>> ellipse(np.diag([4.0, 1.0]))
    (2.0, 1.0, 0.0)
    """
    values, vectors = np.linalg.eigh(matrix)
    x, y = vectors[:, -1] * (1 if vectors[0, -1] >= 0 else -1)
    angle = float(np.degrees(np.arctan2(y, x)))
    return float(np.sqrt(values[-1])), float(np.sqrt(max(values[0], 0))), angle
