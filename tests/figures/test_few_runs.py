"""Figures of small data sets and of profiles with few runs: complete, and nothing beyond their panels."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from rungs.evaluation.definitions import MOMENTS
from rungs.figures import FIGURES, figure_settings
from rungs.figures.likelihood_calibration import _grid
from rungs.figures.style import logarithmic, panels
from rungs.storage import result_file
from rungs.study.runs import Run
from rungs.study.settings import resolve


def drawn(
    name: str, evaluations: dict[Run, dict[str, np.ndarray]], config: dict[str, Any], folder: Path
) -> Figure:
    """A figure of made-up evaluations."""
    paths = []
    for number, (run, arrays) in enumerate(evaluations.items()):
        paths.append(folder / f"{number}.h5")
        result_file.write(paths[-1], arrays, {"run": resolve(config, run)})
    draw = import_module(FIGURES[name].module).draw
    figure: Figure = draw({"evaluation": paths}, figure_settings(config, name))
    return figure


def test_samples_are_complete_squares_of_one_size(
    smoke_config: dict[str, Any], tmp_path: Path
) -> None:
    """Forty test images gave a last row of five, beside squares of smaller pictures."""

    def samples(count: int) -> dict[str, np.ndarray]:
        pictures = np.zeros((49, 784), np.uint8)
        return {"pictures/samples": pictures, "pictures/fitted": pictures[:count]}

    runs = {Run("mnist5k", variant, 2, 0, "latent"): samples(40) for variant in ("ae", "gauss")}
    figure = drawn("vae_samples", runs, smoke_config, tmp_path)
    # six pictures of 28 pixels with gaps of 1
    assert {axis.images[0].get_array().shape for axis in figure.axes} == {(173, 173)}
    plt.close(figure)


def latents(units: int, inactive: int) -> dict[str, np.ndarray]:
    kl = np.ones(units)
    kl[:inactive] = 0
    return {"layers/1/kl": kl, "layers/1/test_moments": np.ones((units, len(MOMENTS)))}


@pytest.mark.parametrize("inactive", [0, 3])
def test_inactive_latents_are_named_where_there_are_some(
    inactive: int, smoke_config: dict[str, Any], tmp_path: Path
) -> None:
    counts = {2: 0, 10: inactive}
    runs = {Run("mnist5k", "gauss", n, 0, "latent"): latents(n, counts[n]) for n in counts}
    figure = drawn("overpruning", runs, smoke_config, tmp_path)
    left, right = figure.axes
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == (["active", "inactive"] if inactive else ["active"])
    dashes = [line for line in right.lines if line.get_marker() == "_" and len(line.get_xdata())]
    # at the tick, or side by side where there are both
    assert [line.get_xdata()[0] for line in dashes] == ([0, 0.88, 1.12] if inactive else [0, 1])
    figure.canvas.draw()
    edge = left.get_window_extent().y1
    assert all(text.get_window_extent().y1 < edge for text in left.texts)
    plt.close(figure)


def test_quantiles_stay_in_their_panels(smoke_config: dict[str, Any], tmp_path: Path) -> None:
    wide = latents(2, 0) | {
        "layers/1/posterior_mean": np.random.default_rng(0).normal(size=(100, 2)) * [1, 5],
        "layers/1/posterior_variance": np.full((100, 2), 0.1),
    }
    runs = {Run("mnist5k", "gauss", 2, 0, "latent"): wide}
    figure = drawn("aggregate_posterior", runs, smoke_config, tmp_path)
    for axis in figure.axes[2:]:
        low, high = axis.get_ylim()
        for line in axis.lines:
            heights = np.asarray(line.get_ydata())
            assert low < heights.min()
            assert heights.max() < high
    plt.close(figure)


def test_recipes_without_runs_have_no_column(smoke_config: dict[str, Any], tmp_path: Path) -> None:
    """The depth in the title is that of the runs, too, which need not be that of the settings."""
    bound = {"test/lk": np.arange(10.0), "test/nested_k": np.array([1, 10])}
    names = ("vae", "lvae-bn-wu", "lvae-bn-wu-ft")
    runs = {Run("mnist5k", variant, 2, 0): bound for variant in names}
    figure = drawn("ladder_ablation", runs, smoke_config, tmp_path)
    (axis,) = figure.axes
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["neither", "BN+WU"]
    assert "depth 2," in axis.get_title()
    plt.close(figure)


@pytest.mark.parametrize(
    ("ends", "told"), [((1105, 1365), {"1100", "1200"}), ((30, 1600), {"100", "1000"})]
)
def test_short_logarithmic_scales_have_plain_numbers(
    ends: tuple[float, float], told: set[str]
) -> None:
    figure, axes = panels(1, 1, {"width": 3, "panel_height": 2.4})
    axis = axes[0][0]
    axis.plot([0, 1], ends)
    logarithmic(axis)
    figure.canvas.draw()
    labels = {
        text.get_text()
        for minor in (False, True)
        for text in axis.get_yticklabels(minor=minor)
        if text.get_text()
    }
    assert told <= labels
    assert not any("$" in label for label in labels)
    plt.close(figure)


@pytest.mark.parametrize(("count", "blank"), [(1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (6, 0)])
def test_panels_leave_few_places_blank(count: int, blank: int) -> None:
    rows, columns = _grid(count)
    assert rows * columns - count == blank
