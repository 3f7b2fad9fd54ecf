"""What a figure needs of which a profile has no runs, in words for a reader who could add them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rungs.figures import FIGURES, Example
from rungs.study.runs import SIZES


def needs(figure: str, settings: Mapping[str, Any]) -> str:
    """Return which runs would fill a figure: their kind, and one or a few as an example.

    Args:
        settings: the figure's. Variants and sizes of the example that it would not show are left out, and
            if none is left, its first is the example.

    >>> needs("vq_codebook", {})
    'a run of a VQ-VAE, such as variant vq with codes: [64], in the section vq of experiments'
    >>> needs("likelihood_calibration", {"variants": ["vae-bn"], "depths": [2, 5]})
    'a run of any model, such as variant vae-bn with depths: [5]'
    """
    entry = FIGURES[figure]
    example = entry.example or _first(settings)
    variants = _kept(example.variants, settings.get("variants"))
    sizes = _kept(example.sizes, settings.get(example.axis))
    named = (
        f", such as variant{'s' * (len(variants) > 1)} {' and '.join(variants)}" if variants else ""
    )
    listed = f" with {example.axis}: [{', '.join(map(str, sizes))}]" if sizes else ""
    place = f", in the section {entry.document} of experiments" if entry.document else ""
    return f"{example.kind}{named}{listed}{place}"


def not_drawn(figure: str, settings: Mapping[str, Any]) -> str:
    """Return what stands in the place of a figure.

    >>> not_drawn("likelihood_calibration", {})
    'likelihood_calibration is not drawn: it needs a run of any model, such as variant vae with depths: [5].'
    """
    return f"{figure} is not drawn: it needs {needs(figure, settings)}."


def _kept(example: Iterable[Any], shown: Iterable[Any] | None) -> list[Any]:
    """Return what a figure shows of an example; all of it if the figure shows any."""
    if shown is None:
        return list(example)
    return [each for each in example if each in shown] or list(shown)[:1]


def _first(settings: Mapping[str, Any]) -> Example:
    """Return an example from the settings of a figure that has none in the registry."""
    axis = next((key for key in SIZES.values() if key in settings), "")
    return Example(
        "runs", tuple(settings.get("variants", ())[:1]), axis, tuple(settings.get(axis, ())[:1])
    )
