"""Computes numbers of a run again, and compares them with the stored ones.

A run's random numbers come from seeds that its files name, so its evaluation can be repeated draw by
draw for some of its images. What may differ is rounding: another processor or another number of
threads adds in another order. The registry of models names the arrays that are computed again and by
how much they may differ (:attr:`rungs.models.ModelEntry.verified`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rungs.errors import RungsError, StoreError
from rungs.evaluation import two_phase
from rungs.models import Tolerance, entry
from rungs.numerics.seeds import LIKELIHOOD_BLOCK
from rungs.numerics.torch_setup import prepare_process
from rungs.storage import result_file
from rungs.storage.result_file import Stored
from rungs.study.layout import EVALUATION, WEIGHTS
from rungs.study.validation import check_section

if TYPE_CHECKING:
    from torch import Tensor

    from rungs.evaluation.evaluator import Evaluator

#: how many times more an image's number, and the mean over images, may differ where the weights were
#: rounded to float16 after the evaluation
HALF_FACTOR, HALF_MEAN_FACTOR = 50, 5


@dataclass(frozen=True)
class Comparison:
    """The stored numbers of some images beside the recomputed ones.

    Attributes:
        stored, recomputed: means over the images.
        difference: the largest absolute difference of an image.
        tolerance: the largest permissible one; ``mean_tolerance`` that of the means.
    """

    quantity: str
    unit: str
    images: int
    stored: float
    recomputed: float
    difference: float
    tolerance: float
    mean_tolerance: float

    @property
    def agrees(self) -> bool:
        """Return whether both differences are within their tolerances."""
        mean = abs(self.stored - self.recomputed)
        return bool(self.difference <= self.tolerance and mean <= self.mean_tolerance)


def verify_run(folder: Path, data: Path, images: int = LIKELIHOOD_BLOCK) -> list[Comparison]:
    """Compute numbers of some of a run's test images again.

    Args:
        folder: of a trained and evaluated run, or of an unpacked archive.
        data: the prepared data set that it was evaluated on.
        images: how many, rounded up to whole blocks of random numbers.

    Raises:
        StoreError: if files are missing or damaged, or the data are not those of the evaluation.
    """
    try:
        return _compared(folder, data, images)
    except RungsError:
        raise
    except Exception as error:  # foreign settings, arrays and weights
        raise StoreError(
            f"{folder}: its settings and numbers do not fit together ({error}); get it again, or train "
            "and evaluate the run again."
        ) from error


def _compared(folder: Path, data: Path, images: int) -> list[Comparison]:
    evaluation = result_file.read(folder / EVALUATION)
    settings = evaluation.attributes["evaluation"]
    # the configuration's, besides the key of the prior of its codes
    check_section("evaluation", {k: v for k, v in settings.items() if k != "prior"})
    evaluator, x = _reopened(folder, data, evaluation, images)
    exact = not _is_half(folder)
    tolerances = entry(evaluator.settings["model"]).verified
    found = []
    for name, again in evaluator.recomputed(x, settings).items():
        stored = evaluation[name][: len(again)]
        if stored.shape != again.shape:
            raise StoreError(f"{evaluation.path}: {name} has the shape {evaluation[name].shape}")
        known = _comparable(name, len(again), evaluator, settings)
        found.append(_compare(name, tolerances[name], stored[known], again[known], exact))
    return found


def _comparable(
    name: str, count: int, evaluator: Evaluator, settings: Mapping[str, Any]
) -> np.ndarray:
    """Return of which of the first images an array can be compared, ``[count]``: L_k of those that took all
    samples."""
    if name != "test/lk":
        return np.full(count, True)
    every, seed = settings.get("refine_every", 1), evaluator.settings["seed"]
    return two_phase.refined_images(count, every, seed)


def _reopened(
    folder: Path, data: Path, evaluation: Stored, images: int
) -> tuple[Evaluator, Tensor]:
    """The evaluator of a run, and at least ``images`` of its test images in whole blocks."""
    from rungs.evaluation.pictures import as_bytes
    from rungs.evaluation.run import load_evaluator
    from rungs.evaluation.splits import Split

    settings = evaluation.attributes["evaluation"]
    evaluator = load_evaluator(folder, with_prior="prior" in settings)
    prepare_process(evaluator.settings["threads"])
    test = Split.read(data, "test", settings["images"], evaluator.model.binary)
    originals = evaluation["pictures/originals"]
    found = as_bytes(test.shown(len(originals)))
    if found.shape != originals.shape or not np.array_equal(found, originals):
        raise StoreError(
            f"{data}: its test images are not those that {evaluation.path} was measured on; "
            "prepare the data set again, name the right file (--data) or, if an earlier version of rungs "
            "evaluated it, evaluate the run again."
        )
    # so many that some of them took all samples
    first = two_phase.first_refined(settings.get("refine_every", 1), evaluator.settings["seed"])
    whole = max(-(-images // LIKELIHOOD_BLOCK), first + 1) * LIKELIHOOD_BLOCK
    return evaluator, evaluator.recomputed_images(test, whole)


def _is_half(folder: Path) -> bool:
    import torch

    from rungs.storage.tensors import load_tensors

    tensors, _ = load_tensors(folder / WEIGHTS)
    return any(tensor.dtype == torch.float16 for tensor in tensors.values())


def _compare(
    name: str, allowed: Tolerance, stored: np.ndarray, found: np.ndarray, exact: bool
) -> Comparison:
    before, after = stored.astype(float), found.astype(float)
    tolerance = allowed.value
    return Comparison(
        quantity=name,
        unit=allowed.unit,
        images=len(found),
        stored=float(before.mean()),
        recomputed=float(after.mean()),
        difference=float(np.abs(before - after).max()),
        tolerance=tolerance if exact else HALF_FACTOR * tolerance,
        mean_tolerance=tolerance if exact else HALF_MEAN_FACTOR * tolerance,
    )


def rounding_change(
    folder: Path, data: Path, tensors: Mapping[str, Tensor], evaluation: Stored
) -> dict[str, Any]:
    """Compute what other weights change in a run's numbers, with the same random numbers.

    Returns:
        ``quantity, images, mean_change, largest_change`` (absolute) of up to 100 test images.
    """
    evaluator, x = _reopened(folder, data, evaluation, 2 * LIKELIHOOD_BLOCK)
    settings = evaluation.attributes["evaluation"]
    before = evaluator.recomputed(x, settings)
    evaluator.model.load_state_dict(tensors)
    after = evaluator.recomputed(x, settings)
    name = next(iter(before))
    change = after[name].astype(float) - before[name].astype(float)
    change = change[_comparable(name, len(change), evaluator, settings)]
    return {
        "quantity": name,
        "images": len(change),
        "mean_change": float(abs(change.mean())),
        "largest_change": float(np.abs(change).max()),
    }
