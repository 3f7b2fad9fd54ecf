"""The description of a run in its archive: in numbers, as JSON and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rungs.evaluation.convergence import converged
from rungs.evaluation.definitions import ACTIVE_KL
from rungs.evaluation.lk_error import lk_standard_error
from rungs.exchange.archive_format import (
    PICTURES,
)
from rungs.models import entry
from rungs.storage.result_file import Stored
from rungs.study.layers import Config
from rungs.study.runs import Run
from rungs.training.schedules import total_epochs


def numbers_of(training: Stored, evaluation: Stored) -> dict[str, Any]:
    """Return the run's headline numbers: means over images, of bounds in nats.

    A model without a likelihood has the means of the arrays that are verified.
    """
    settings = training.attributes["run"]
    found: dict[str, Any] = {
        "parameters": training.attributes["parameters"],
        "epochs": total_epochs(settings["training"]),
        "converged": converged(training),
    }
    arrays = evaluation.arrays
    if "test/lk" in arrays:
        lk = arrays["test/lk"]
        found |= {
            "train_elbo": float(arrays["train/elbo"].mean(dtype=np.float64)),
            "test_elbo": float(arrays["test/elbo"].mean()),
            "k": int(arrays["test/nested_k"][-1]),
            "test_lk": float(lk.mean()),
            "test_lk_se": lk_standard_error(arrays) if len(lk) > 1 else None,
            "test_images": len(lk),
        }
    else:
        for name in entry(settings["model"]).verified:
            values = evaluation[name]
            if values.ndim == 1:
                quantity = name.rpartition("/")[2]
                found |= {quantity: float(values.mean()), "test_images": len(values)}
    if layers := evaluation.layers("kl"):
        found["active_units"] = [int((layer > ACTIVE_KL).sum()) for layer in layers]
    return found


def describe(
    config: Config,
    training: Stored,
    evaluation: Stored,
    numbers: dict[str, Any],
    half: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the content of ``run.json``: settings, numbers, keys and origin.

    Args:
        half: what rounding to float16 changes (:func:`rungs.exchange.recomputation.rounding_change`).
    """
    files = {"training": training.attributes, "evaluation": evaluation.attributes}
    return {
        "profile": config["profile"],
        "run": training.attributes["run"],
        "evaluation": evaluation.attributes["evaluation"],
        "numbers": numbers,
        "float16": half,
        "keys": {name: attributes.get("key") for name, attributes in files.items()},
        "provenance": {name: attributes["provenance"] for name, attributes in files.items()},
    }


def readme(
    run: Run,
    numbers: Mapping[str, Any],
    members: Mapping[str, bytes],
    left_out: list[str],
    half: dict[str, Any] | None,
    title: str,
) -> str:
    """Return the text of ``README.md``.

    Args:
        title: of the data set.
    """
    lines = [f"# {run.path}", "", "A trained run of rungs, written by `rungs export`.", ""]
    known = {name: value for name, value in numbers.items() if value is not None}
    lines += [f"- {name.replace('_', ' ')}: {_text(value)}" for name, value in known.items()]
    if half is not None:
        lines.append(
            f"- weights: float16, which moves {half['quantity']} of {half['images']} test images by "
            f"{half['mean_change']:.4f} on average; the numbers above are the float32 run's"
        )
    lines += ["", f"Data: {title}. Log-likelihoods in nats per image."]
    lines += ["", "```sh"]
    lines += ["rungs load THIS.zip --as some/folder   # unpack and show the numbers"]
    lines += ["rungs verify THIS.zip                  # compute a sample of them again", "```", ""]
    lines += [f"![{Path(n).stem}]({n})" for n in PICTURES if n in members]
    lines += [
        "",
        "Left out, to stay small (arrays above 256 KiB, and the weights before the continuation):",
    ]
    lines += [f"- {name}" for name in left_out] or ["nothing"]
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def as_json(content: Any) -> bytes:
    """Write JSON with sorted keys."""
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
