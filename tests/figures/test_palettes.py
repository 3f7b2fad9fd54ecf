"""One meaning a colour over the whole project."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from rungs.figures import palettes
from rungs.figures.palettes import class_colour, variant_styles
from rungs.paths import ROOT

KINDS = {
    "variants": [colour for colour, _ in palettes.VARIANTS.values()],
    "priors": [colour for colour, _ in palettes.PRIORS.values()],
    "layers": palettes.LAYERS,
    "classes": palettes.CLASSES,
    "estimates": [colour for colour, _ in palettes.ESTIMATES],
    "series": [colour for colour, _ in palettes.SERIES],
    "others": [palettes.MEASURED, palettes.UNLABELLED, palettes.REFERENCE],
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(KINDS, 2)))
def test_no_colour_has_two_meanings(one: str, other: str) -> None:
    assert not set(KINDS[one]) & set(KINDS[other])


@pytest.mark.parametrize("kind", KINDS)
def test_colours_of_a_kind_differ(kind: str) -> None:
    found = np.array([to_rgb(colour) for colour in KINDS[kind]])
    apart = np.linalg.norm(found[:, None] - found, axis=-1) + np.eye(len(found))
    assert apart.min() > 0.1


def test_the_ladder_keeps_its_colours_whatever_stands_beside_it() -> None:
    alone, among = variant_styles(["lvae-bn-wu"]), variant_styles(["new", "vae", "lvae-bn-wu"])
    assert alone["lvae-bn-wu"] == among["lvae-bn-wu"]
    assert among["new"]["color"] in KINDS["series"]


def test_missing_and_further_classes_have_no_colour_of_their_own() -> None:
    assert class_colour(3) == palettes.CLASSES[3]
    assert class_colour(-1) == class_colour(10) == palettes.UNLABELLED


def test_colours_come_from_the_palettes() -> None:
    """Greys and black apart."""
    for path in (ROOT / "src/rungs/figures").glob("*.py"):
        if path.name != "palettes.py":
            text = Path(path).read_text(encoding="utf-8")
            assert "color_palette" not in text, path
            assert 'color="#' not in text, path
