"""``latent_scatter``: posteriors of test images in the plane of two latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from rungs.evaluation.subsets import drawn
from rungs.figures.palettes import CLASSES, class_colour
from rungs.figures.style import class_legend, legend_below, nothing_to_show, panels, say_what
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import run_of, settings_of
from rungs.training.schedules import total_epochs

NAMES = ("layers/1/posterior_mean", "layers/1/posterior_variance", "posterior/scale", "test/labels")
#: radii of the circles, and the shares of N(0, I) that they hold
CIRCLES = {1: "39 %", 2: "86 %"}


def draw(files: Files, settings: dict[str, Any]) -> Figure:
    """A panel a run: means of q(z|x) and their one-sigma ellipses, coloured by class where there are
    classes; the circles hold 39 % and 86 % of N(0, I)."""
    read = [result_file.read(path, only=NAMES) for path in files["evaluation"]]
    shown = [e for e in read if NAMES[0] in e.arrays and e[NAMES[0]].shape[1:] == (2,)]
    if not shown:
        return nothing_to_show(settings)
    dataset = run_of(shown[0]).dataset
    shown = [e for e in shown if run_of(e).dataset == dataset]
    # square panels, and room for the title and the legend of one alone
    width = min(settings["width"], settings["panel_height"] * len(shown) + 1.5)
    figure, axes = panels(1, len(shown), settings | {"width": width})
    reach = 3.0
    for axis, evaluation in zip(axes[0], shown, strict=True):
        labels = evaluation["test/labels"]
        for image in drawn(settings["images"], len(labels)):
            mean = evaluation[NAMES[0]][image]
            width, height, angle = ellipse(covariance(evaluation, image))
            colour = class_colour(labels[image])
            style = {"facecolor": to_rgba(colour, 0.25), "edgecolor": colour, "lw": 0.5}
            reach = max(reach, *(np.abs(mean) + width))
            axis.add_patch(Ellipse(tuple(mean), 2 * width, 2 * height, angle=angle, **style))
            axis.plot(*mean, ".", color=colour, ms=1.5)
        for radius in CIRCLES:
            axis.add_patch(
                Ellipse((0, 0), 2 * radius, 2 * radius, fill=False, ec="black", lw=0.6, ls="--")
            )
        axis.set(aspect="equal", xlabel="$z_1$")
        trained = settings_of(evaluation)
        kind = "full covariance, " if trained["network"]["posterior"] == "full" else ""
        axis.set_title(f"{kind}{total_epochs(trained['training'])} epochs")
    axes[0][0].set_ylabel("$z_2$")
    reach *= 1.03
    for axis in axes[0]:
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
    say_what(figure, dataset, "means and one-sigma ellipses of q(z|x) of test images")
    present = np.unique(np.concatenate([e["test/labels"] for e in shown]))
    present = present[(present >= 0) & (present < len(CLASSES))]
    handles = [axes[0][0].plot([], [], "o", color=CLASSES[c], ms=3)[0] for c in present]
    handles.append(axes[0][0].plot([], [], "k--", lw=0.6)[0])
    names = class_legend(shown[0], present)
    shares = " and ".join(CIRCLES.values())
    legend_below(figure, handles, [*names, f"{shares} of N(0, I)"], columns=len(handles))
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
