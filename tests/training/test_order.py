"""The order in which images are stored decides nothing: statistics of batch norm are those of mixed
batches, of data that are mixed at preparation and of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rungs.data.own import prepare
from rungs.data.prepared import Prepared
from rungs.evaluation.likelihood import estimate
from rungs.evaluation.splits import Split
from rungs.storage import result_file
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]
IMAGES, EPOCHS, SEEDS = 1000, 30, (0, 1)


def store(digits: Path, order: np.ndarray, folder: Path) -> tuple[Prepared, Split]:
    """Digits stored in this order as one's own data, and prepared."""
    known = result_file.read(digits)
    train, test = (
        (known[f"{split}/images"], known[f"{split}/labels"]) for split in ("train", "test")
    )
    folder.mkdir()
    np.savez(folder / "x.npz", x=train[0][order], y=train[1][order], xt=test[0], yt=test[1])
    entry = {"images": str(folder / "x.npz"), "array": "x", "labels": "y"}
    made = prepare("mine", entry | {"test": {"array": "xt", "labels": "yt"}})
    made.write(folder / "x.h5")
    return made, Split.read(folder / "x.h5", "test", 500)


def elbo(trainer: Trainer, test: Split) -> float:
    trainer.finish()
    with torch.no_grad():
        return float(estimate(trainer.model, test.x, 1, 0, 1000).lk.mean())


def test_stored_by_class_or_mixed(digits: Path, tmp_path: Path, settings_of: SettingsOf) -> None:
    labels = result_file.read(digits)["train/labels"]
    mixed = np.random.default_rng(0).permutation(len(labels))[:IMAGES]
    orders = {"mixed": mixed, "by class": mixed[np.argsort(labels[mixed], kind="stable")]}
    found: dict[str, list[float]] = {}
    for name, order in orders.items():
        made, test = store(digits, order, tmp_path / name)
        images = torch.from_numpy(made.train_images).flatten(1)
        for seed in SEEDS:
            settings: Any = settings_of("vae-bn", epochs=EPOCHS, batch_size=25) | {"seed": seed}
            settings["network"] = settings["network"] | {"hidden_sizes": [64, 32]}
            trainer = Trainer(settings, images, "cpu")
            for _ in range(EPOCHS):
                trainer.run_epoch()
            found.setdefault(name, []).append(elbo(trainer, test))
            # the same weights, and statistics of training images that nobody has mixed
            trainer.images = images[np.argsort(made.train_labels, kind="stable")]
            assert abs(elbo(trainer, test) - found[name][-1]) < 0.1
    means = {name: float(np.mean(values)) for name, values in found.items()}
    # seeds alone move one value by 0.5 nats
    assert abs(means["mixed"] - means["by class"]) < 1.0
