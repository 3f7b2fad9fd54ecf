"""All text of a figure keeps clear of the edge: constrained layout does not see to that."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axis import Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from rungs.evaluation.definitions import MOMENTS
from rungs.figures import FIGURES, figure_settings
from rungs.storage import result_file
from rungs.study.runs import Run
from rungs.study.settings import resolve

IMAGES = 100


def single_layer(units: int) -> dict[str, np.ndarray]:
    """An evaluation of made-up latents, as far as the figures below read it."""
    random = np.random.default_rng(0)
    return {
        "layers/1/kl": np.linspace(12.5, 0.02, units),
        "layers/1/posterior_mean": random.normal(size=(IMAGES, units)),
        "layers/1/posterior_variance": random.uniform(0.01, 0.2, (IMAGES, units)),
        # as wide as such numbers are
        "layers/1/test_moments": np.tile(
            [-0.25 if n == "mean" else 1.25 for n in MOMENTS], (units, 1)
        ),
        "test/labels": np.arange(IMAGES) % 10,
        "traversal/pictures": np.zeros((units, 11, 784), np.uint8),
        "traversal/values": np.linspace(-2.3, 2.3, 11),
        "manifold/pictures": np.zeros((20, 20, 784), np.uint8),
        "rescale/factors": np.array([0.5, 0.8, 1, 1.25, 2]),
        "rescale/image_kl": random.uniform(size=(5, IMAGES, units)),
    }


def at_the_edge(figure: Figure) -> list[str]:
    """Return the visible texts that are within a pixel of the figure's edge or beyond it. Those of ticks are
    left out, as matplotlib keeps such of ticks that it does not draw."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox.padded(-1)
    at_ticks = {text for tick in figure.findobj(Tick) for text in tick.findobj(Text)}
    written = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in at_ticks
    ]
    extents = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in written]
    return [
        text
        for text, box in extents
        if box.x0 < page.x0 or box.y0 < page.y0 or box.x1 > page.x1 or box.y1 > page.y1
    ]


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("aggregate_posterior", 10),
        ("kl_fixed_ratio", 10),
        ("latent_scatter", 2),
        ("latent_traversal", 2),
        ("latent_traversal", 10),
        ("overpruning", 10),
        ("vae_manifold", 2),
    ],
)
def test_text_of_latents_keeps_clear_of_the_edge(
    name: str, units: int, smoke_config: dict[str, Any], tmp_path: Path
) -> None:
    trained = resolve(smoke_config, Run("mnist5k", "gauss", units, 0, "latent"))
    result_file.write(tmp_path / "evaluation.h5", single_layer(units), {"run": trained})
    settings = figure_settings(smoke_config, name)
    files = {"evaluation": [tmp_path / "evaluation.h5"]}
    figure = import_module(FIGURES[name].module).draw(files, settings)
    assert not at_the_edge(figure)
    plt.close(figure)
