"""Runs train on after their schedule: what is kept, and that no interruption changes anything."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import training_images
from rungs.errors import StoreError
from rungs.jobs import checkpoints
from rungs.jobs.signals import Interrupted
from rungs.jobs.train import TrainingJob, train, train_together
from rungs.jobs.work import train_runs
from rungs.models import entry
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.storage.tensors import load_tensors
from rungs.study import profile as configuration
from rungs.study.keys import run_key
from rungs.study.layout import Layout
from rungs.study.runs import Run, all_runs, parent_of
from rungs.study.settings import code_prior_settings, resolve
from rungs.training import trainer as training
from rungs.training.side_by_side import Ensemble
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]
RESULTS = ("weights.safetensors", "training.h5")
SIZES = {"depth": 2, "latent": 2, "codes": 16}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def train_interrupted(
    jobs: list[TrainingJob], digits: Path, loop: Any, monkeypatch: pytest.MonkeyPatch
) -> int:
    """Train, stopped after every epoch; return how many times."""
    whole, stops = loop.run_epoch, 0

    def stop_after_one(self: Any) -> None:
        whole(self)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "run_epoch", stop_after_one)
        while True:
            try:
                train_together(jobs, digits, 5)
            except Interrupted:
                stops += 1
                assert stops < 20
                continue
            return stops


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("variant", ["lvae-bn-wu", "vae"])
def test_interruptions_of_schedule_and_continuation_change_nothing(
    variant: str,
    recorded: bool,
    settings_of: SettingsOf,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if recorded:
        monkeypatch.setattr(training, "RECORDED_FROM", 0)
    settings = settings_of(variant, epochs=3, continuation=0.7)
    train(settings, digits, tmp_path / "whole", 5)
    job = TrainingJob(settings, tmp_path / "stopped")
    assert train_interrupted([job], digits, Trainer, monkeypatch) >= 4
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert len(result_file.read(tmp_path / "whole/training.h5")["elbo"]) == 5


def test_interruptions_change_nothing_side_by_side(
    settings_of: SettingsOf, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [settings_of(epochs=2, continuation=1.0) | {"seed": s, "run": f"r/{s}"} for s in (0, 1)]

    def jobs(name: str) -> list[TrainingJob]:
        return [TrainingJob(run, tmp_path / name / str(run["seed"])) for run in runs]

    train_together(jobs("whole"), digits, 5)
    assert train_interrupted(jobs("stopped"), digits, Ensemble, monkeypatch) >= 3
    for seed in ("0", "1"):
        assert contents(tmp_path / "stopped" / seed) == contents(tmp_path / "whole" / seed)


@pytest.mark.parametrize("variant", ["lvae-bn-wu", "vae", "mog", "vq", "vq-kmeans", "vaegan", "ae"])
def test_what_is_kept_is_the_run_without_continuation(
    variant: str, smoke_config: dict[str, Any], digits: Path, tmp_path: Path
) -> None:
    """Weights, batch norm statistics and codebooks, to the bit; and so is the history until then."""
    axis = entry(smoke_config["variants"][variant]["model"]).axis
    settings = resolve(smoke_config, Run("mnist5k", variant, SIZES[axis], 0, axis))
    settings["training"] |= {"epochs": 2, "batch_size": 500, "continuation": 0.5}
    train(settings, digits, tmp_path / "with", 5)
    plain = settings | {"training": settings["training"] | {"continuation": 0.0}}
    train(plain, digits, tmp_path / "without", 5)  # type: ignore[arg-type]
    found, expected = (result_file.read(tmp_path / n / "training.h5") for n in ("with", "without"))
    weights, _ = load_tensors(tmp_path / "without" / "weights.safetensors")
    kept = {n for n in found.arrays if n.startswith("scheduled/")}
    assert kept == {f"scheduled/{name}" for name in weights}
    for name, tensor in weights.items():
        array = found[f"scheduled/{name}"]
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, tensor.numpy(), err_msg=name)
    final, _ = load_tensors(tmp_path / "with" / "weights.safetensors")
    assert any(not torch.equal(final[name], tensor) for name, tensor in weights.items())
    assert not any(name.startswith("scheduled/") for name in expected.arrays)
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(found[name][:2], array, err_msg=name)
        assert len(found[name]) == 3


def test_members_of_an_ensemble_keep_their_own_weights(
    settings_of: SettingsOf, digits: Path, tmp_path: Path
) -> None:
    for name, share in (("with", 0.5), ("without", 0.0)):
        runs = [
            settings_of(epochs=2, continuation=share) | {"seed": s, "run": str(s)} for s in (0, 1)
        ]
        train_together([TrainingJob(r, tmp_path / name / r["run"]) for r in runs], digits, 5)
    for seed in ("0", "1"):
        weights, _ = load_tensors(tmp_path / "without" / seed / "weights.safetensors")
        found = result_file.read(tmp_path / "with" / seed / "training.h5")
        for name, tensor in weights.items():
            np.testing.assert_array_equal(found[f"scheduled/{name}"], tensor.numpy(), err_msg=name)


def test_a_checkpoint_of_the_continuation_needs_the_weights_before_it(
    settings_of: SettingsOf, digits: Path, tmp_path: Path
) -> None:
    settings = settings_of(epochs=1, continuation=2.0)
    trainer, other = (Trainer(settings, training_images(digits), "cpu") for _ in range(2))
    trainer.run_epoch()
    trainer.run_epoch()
    tensors, metadata = trainer.state()
    checkpoints.save(trainer, tmp_path, "key")
    lacking = {name: t for name, t in tensors.items() if not name.startswith("scheduled/")}
    with pytest.raises(StoreError, match="incomplete"):
        other.restore(lacking, metadata)
    other.restore(tensors, metadata)
    assert other.scheduled.keys() == trainer.model.state_dict().keys()
    for name, tensor in trainer.scheduled.items():
        assert torch.equal(other.scheduled[name], tensor), name


def test_the_continuation_is_part_of_the_key(settings_of: SettingsOf, digits: Path) -> None:
    keys = {run_key(settings_of(continuation=share), digits) for share in (0.0, 0.2, 0.4)}
    assert len(keys) == 3


def test_which_runs_have_none(smoke_config: dict[str, Any]) -> None:
    """A moment in training, and a prior over codes."""
    early = resolve(smoke_config, Run("mnist5k", "gauss-e10", 2, 0, "latent"))
    assert early["training"]["continuation"] == 0
    prior = code_prior_settings(smoke_config, Run("mnist5k", "vq", 16, 0, "codes"))
    assert prior is not None
    assert (prior["training"]["continuation"], prior["training"]["rise"]) == (0, 0)
    for variant in ("lvae-bn-wu", "lvae-bn-wu-ft", "lvae-bn-wu-mc10", "lvae-bn-wu-iw10"):
        settings = resolve(smoke_config, Run("mnist5k", variant, 2, 0))
        assert settings["training"]["continuation"] == 0.2


def test_a_finished_run_is_trained_on_as_the_page_says(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/running.md: another folder, another key, better from its first epoch; the run before stays."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "running.md").read_text()
    (longer,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    Path("longer.yaml").write_text(longer)
    Path("short.yaml").write_text(
        "network: {hidden_sizes: {first: 16, ratio: 0.5, least: 4}}\n"
        "training: {batch_size: 500, continuation: 0.0}\n"
        "variants: {gauss: {training: {epochs: 3}}, gauss-longer: {training: {epochs: 2}}}\n"
    )
    config = configuration.load([ROOT / "config" / "config.yaml", "longer.yaml", "short.yaml"])
    layout = Layout(config["profile"])
    Path(layout.data("mnist5k")).parent.mkdir(parents=True)
    Path(layout.data("mnist5k")).symlink_to(digits)
    run = Run("mnist5k", "gauss-longer", 10, 0, "latent")
    parent = parent_of(config, run)
    assert parent == Run("mnist5k", "gauss", 10, 0, "latent")
    assert parent in all_runs(config)
    for found in (parent, run):
        train_runs(config, {found: Path(layout.run(found))})
        if found == parent:
            before = contents(Path(layout.run(parent)))
    first, then = (result_file.read(Path(layout.run(r)) / "training.h5") for r in (parent, run))
    assert (len(first["elbo"]), len(then["elbo"])) == (3, 2)
    assert then["elbo"][0] > first["elbo"][-1]
    assert then.attributes["key"] != first.attributes["key"]
    assert then.attributes["run"]["continues"] == first.attributes["run"]
    assert contents(Path(layout.run(parent))) == before
