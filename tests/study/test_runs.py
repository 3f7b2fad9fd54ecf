"""Runs: their paths, and which of them a configuration asks for."""

from __future__ import annotations

from typing import Any

import pytest

from rungs.errors import ConfigError
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.runs import Run, runs, shown_runs


@pytest.mark.parametrize("path", ["", "mnist5k/vae", "../x/depth1/seed0", "a/b/depth-1/seed0"])
def test_a_wrong_run_is_named(path: str) -> None:
    with pytest.raises(ConfigError, match="expected dataset/variant"):
        Run.parse(path)


def profile(**experiments: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "experiments": {
            document: [{"datasets": ["mine"], "seeds": [0], **grid} for grid in grids]
            for document, grids in experiments.items()
        }
    }


def sizes(config: dict[str, Any], document: str | None, **settings: Any) -> list[int]:
    return [run.size for run in shown_runs(config, document, settings)]


def test_a_figure_shows_its_documents_runs_of_its_sizes() -> None:
    config = profile(
        vae=[{"variants": ["gauss"], "latents": [2, 5]}],
        mixture=[{"variants": ["gauss"], "latents": [2, 10]}],
    )
    assert sizes(config, "vae", variants=["gauss"], latents=[2, 10]) == [2]


def test_a_profile_without_these_shows_what_it_has() -> None:
    """Runs of another document first, then other sizes; never other variants."""
    elsewhere = profile(mixture=[{"variants": ["gauss"], "latents": [2, 3]}])
    assert sizes(elsewhere, "vae", variants=["gauss"], latents=[2]) == [2]
    other = profile(vae=[{"variants": ["gauss"], "latents": [3, 4, 6, 8]}])
    assert sizes(other, "vae", variants=["gauss"], latents=[2]) == [8]
    assert sizes(other, "vae", variants=["gauss"], latents=[2, 10]) == [3, 8]
    assert sizes(other, "vae", variants=["mog"], latents=[2]) == []
    assert sizes(elsewhere, "ladder", depths=[5]) == []  # which names no variants
    ladder = profile(ladder=[{"variants": ["lvae"], "depths": [2]}])
    assert sizes(ladder, "ladder", depths=[5]) == [2]


def test_the_order_of_documents_is_not_that_of_the_file() -> None:
    """A file that a program writes has them sorted by name."""
    config = configuration.load([ROOT / "config" / "config.yaml"])
    experiments = dict(sorted(config["experiments"].items()))
    assert list(experiments) != list(config["experiments"])
    assert runs(config | {"experiments": experiments}) == runs(config)


def test_a_variant_that_a_documents_runs_lack_comes_from_another_document() -> None:
    """Own data with a section vae of autoencoders alone lost the VAEs of the section mixture."""
    config = profile(
        vae=[{"variants": ["ae"], "latents": [2, 10]}],
        mixture=[{"variants": ["mog", "gauss"], "latents": [2, 5, 10]}],
    )
    settings = {"variants": ["ae", "gauss"], "latents": [2, 10]}
    shown = shown_runs(config, "vae", settings)
    assert [(run.variant, run.size) for run in shown] == [
        *(("ae", 2), ("ae", 10)),
        *(("gauss", 2), ("gauss", 10)),
    ]
    assert shown == shown_runs(config, None, settings)
    reordered = shown_runs(config, "vae", {**settings, "variants": ["gauss", "ae"]})
    assert [run.variant for run in reordered] == ["gauss", "gauss", "ae", "ae"]


def test_sizes_are_those_of_the_figure_wherever_a_variant_comes_from() -> None:
    config = profile(
        vae=[{"variants": ["ae"], "latents": [2]}, {"variants": ["gauss"], "latents": [5]}],
        mixture=[{"variants": ["gauss"], "latents": [2, 3]}],
        moments=[{"variants": ["mog"], "latents": [7]}],
    )
    shown = shown_runs(config, "vae", {"variants": ["ae", "gauss", "mog"], "latents": [2]})
    assert [(run.variant, run.size) for run in shown] == [("ae", 2), ("gauss", 2)]
    others = shown_runs(config, "vae", {"variants": ["ae", "gauss", "mog"], "latents": [20]})
    assert [(run.variant, run.size) for run in others] == [("mog", 7)]


def test_an_empty_list_of_variants_is_no_reason_to_look_elsewhere() -> None:
    config = profile(mixture=[{"variants": ["gauss"], "latents": [2]}])
    assert sizes(config, "vae", variants=[], latents=[2]) == []
