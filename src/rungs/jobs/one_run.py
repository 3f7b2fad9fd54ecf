"""One run from its data on, in this process: what its stages need is made before, as the workflow does
with rules. What is there, made of what the configuration asks for, is not made again.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rungs.errors import DataError, StoreError
from rungs.evaluation import classifier
from rungs.jobs.work import evaluate_run, prepare_data, prior_run, train_runs
from rungs.storage.atomic import sha256, write_bytes
from rungs.study import identity
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, STAGES, Layout
from rungs.study.runs import PRIOR_FOLDER, Run, lineage
from rungs.study.settings import code_prior_settings

#: arrays of the file in which given images are stored
IMAGES, LABELS = "images", "labels"


@dataclass(frozen=True)
class GivenImages:
    """Images that a program gives, as the source of a data set of one's own (:mod:`rungs.data.own`).

    Attributes:
        name: of the data set.
        entry: of the configuration's ``datasets``, by which the file is read.
        content: of the file.
    """

    name: str
    entry: dict[str, Any]
    content: bytes

    @classmethod
    def of(cls, images: np.ndarray, labels: Any, name: str | None) -> GivenImages:
        """Return images, and labels unless they are None, as a data set.

        Args:
            images: numbers ``[n, ...]``.
            labels: ``[n]`` integers or names, or None.
            name: by default one that the content gives.

        Raises:
            DataError: if labels are neither integers nor names.
        """
        arrays = {IMAGES: images}
        if labels is not None:
            arrays[LABELS] = np.asarray(labels)
            if arrays[LABELS].dtype.kind not in "buiUS":
                raise DataError(
                    f"the labels given: have type {arrays[LABELS].dtype}, expected integers or names, one "
                    "for each image."
                )
        file = io.BytesIO()
        np.savez(file, **arrays)  # type: ignore[arg-type]
        content = file.getvalue()
        name = name or f"array-{sha256(content)[:8]}"
        keys = {"array": IMAGES} | ({} if labels is None else {"labels": LABELS})
        return cls(name, {"images": Layout.given(name), **keys}, content)

    def store(self) -> None:
        """Write the file, unless it is there with the same content."""
        path = Path(self.entry["images"])
        if not path.is_file() or path.read_bytes() != self.content:
            write_bytes(path, self.content)


def train_run(config: Config, run: Run) -> Path:
    """Train a run, the runs that it continues, and the prior of its codes if it has one. An evaluation of an
    earlier training in its folder is removed.

    Returns:
        The folder of the run.

    Raises:
        RungsError: if the data cannot be used, or the training fails.
        Interrupted: if a signal stopped it; running it again continues.
    """
    layout, folder = Layout(config["profile"]), Path(Layout(config["profile"]).run(run))
    _prepare_if_needed(config, run.dataset)
    with _process_as_before():
        for each in lineage(config, run):
            train_runs(config, {each: Path(layout.run(each))})
        if code_prior_settings(config, run) is not None:
            prior_run(config, run, folder / PRIOR_FOLDER)
    if (folder / EVALUATION).is_file():
        try:
            identity.check_same_training(folder, f"rungs evaluate {run.path}")
        except StoreError:  # nobody can use what was measured on weights that are gone
            for name in STAGES["evaluate"]:
                (folder / name).unlink(missing_ok=True)
    return folder


def evaluate_trained(config: Config, run: Run, folder: Path) -> None:
    """Evaluate the trained run in a folder, and train the classifier that compares its samples if one
    does.

    Raises:
        RungsError: if the run is not what the configuration asks for.
    """
    _prepare_if_needed(config, run.dataset)
    # shards share the likelihood of a run over jobs; together they give the same numbers
    whole = {**config, "compute": {**config["compute"], "shards": 1}}
    with _process_as_before():
        try:
            identity.check_classifier(config, run)
        except StoreError:
            classifier.train(Path(Layout.data(run.dataset)), Path(Layout.classifier(run.dataset)))
        evaluate_run(whole, run, folder, folder)


def _prepare_if_needed(config: Config, dataset: str) -> None:
    try:
        identity.check_prepared(config, dataset)
    except (DataError, StoreError):
        prepare_data(config, dataset)


@contextmanager
def _process_as_before() -> Iterator[None]:
    """Restore what :func:`rungs.numerics.torch_setup.prepare_process` sets: the process is the user's."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
