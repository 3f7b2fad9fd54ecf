"""What is said in the place of a figure for which a profile has no runs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from conftest import TINY
from rungs.cli import cli
from rungs.figures import BLANK, FIGURES, figure_settings
from rungs.figures.lacking import needs, not_drawn
from rungs.figures.style import nothing_to_show, plt, say_instead
from rungs.study.runs import SIZES, shown_runs


@pytest.mark.parametrize("name", FIGURES)
def test_the_runs_that_are_offered_fill_the_figure(name: str, smoke_config: dict[str, Any]) -> None:
    """And it shows all of them, at these sizes."""
    entry, settings = FIGURES[name], figure_settings(smoke_config, name)
    example = entry.example
    assert example
    grid = {"datasets": ["mnist5k"], "variants": [*example.variants], "seeds": [0]}
    config = copy.deepcopy(smoke_config)
    config["experiments"] = {entry.document or "ladder": [grid | {example.axis: [*example.sizes]}]}
    shown = shown_runs(config, entry.document, settings)
    assert {run.variant for run in shown} == {*example.variants}
    assert {run.size for run in shown} == {*example.sizes}
    assert {SIZES[run.axis] for run in shown} == {example.axis}
    assert str(list(example.sizes)) in needs(name, settings)


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_said_fits_into_the_picture(name: str, smoke_config: dict[str, Any]) -> None:
    settings = figure_settings(smoke_config, name)
    figure = nothing_to_show(settings)
    say_instead(figure, not_drawn(name, settings))
    figure.draw_without_rendering()
    box = figure.axes[0].texts[0].get_window_extent()
    assert figure.bbox.containsx(box.x0)
    assert figure.bbox.containsx(box.x1)
    assert box.height <= figure.bbox.height
    plt.close(figure)


def test_the_picture_says_what_the_report_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    done = CliRunner().invoke(cli, ["figure", "vq_codebook", "--config", "tiny.yaml"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(
        "vq_codebook is not drawn: it needs a run of a VQ-VAE, such as variant vq with codes: [64], in the "
        "section vq of experiments.\n"
    )
    with Image.open("results/tiny/figures/vq_codebook.png") as picture:
        assert picture.info["Description"] == BLANK
