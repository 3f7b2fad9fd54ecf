"""Runs trained side by side against the same runs trained alone."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rungs.data.binarise import TrainingImages, model_input
from rungs.jobs import work
from rungs.jobs.packs import packs
from rungs.jobs.signals import Interrupted
from rungs.jobs.train import TrainingJob, train, train_together
from rungs.models.arithmetic import set_arithmetic
from rungs.storage import result_file
from rungs.storage.tensors import load_tensors
from rungs.study.layout import Layout
from rungs.study.runs import Run, all_runs
from rungs.training import trainer as training
from rungs.training.optimiser import clip_gradients
from rungs.training.side_by_side import Ensemble, ensemble_key
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]


def members(settings_of: SettingsOf, variant: str, **changes: Any) -> list[dict[str, Any]]:
    """Two seeds, and a third run that differs in its schedule."""
    base = settings_of(variant, epochs=3, warm_up=True, **changes)
    late = copy.deepcopy(base) | {"seed": 2, "run": "late"}
    late["training"]["warm_up_epochs"] = 7
    return [base, base | {"seed": 1, "run": "second"}, late]


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything in double precision: rounding, which training amplifies, stays out of sight."""
    batch = TrainingImages.batch
    monkeypatch.setattr(TrainingImages, "batch", lambda self, i: batch(self, i).double())
    monkeypatch.setattr(training, "model_input", lambda *a: model_input(*a).double())
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("vae", {}),
        ("lvae-bn-wu", {}),
        ("vae", {"importance_samples": 3}),
        ("lvae-bn-wu", {"monte_carlo_samples": 2}),
    ],
)
@pytest.mark.usefixtures("in_float64")
def test_side_by_side_is_as_alone(
    variant: str, changes: dict[str, int], settings_of: SettingsOf, digits: Path, tmp_path: Path
) -> None:
    all_settings = members(settings_of, variant, **changes)
    train_together(
        [TrainingJob(s, tmp_path / f"e{i}") for i, s in enumerate(all_settings)], digits, 5
    )
    for number, settings in enumerate(all_settings):
        train(settings, digits, tmp_path / f"s{number}", 5)
        together, alone = (result_file.read(tmp_path / f"{k}{number}/training.h5") for k in "es")
        assert together.attributes["key"] == alone.attributes["key"]
        for name, array in alone.arrays.items():
            np.testing.assert_allclose(together[name], array, rtol=1e-6, atol=1e-6, err_msg=name)
        one, two = (load_tensors(tmp_path / f"{k}{number}/weights.safetensors")[0] for k in "es")
        for name, tensor in two.items():
            torch.testing.assert_close(one[name], tensor, rtol=1e-6, atol=1e-6)


def test_the_first_epoch_is_the_same_to_rounding(settings_of: SettingsOf, digits: Path) -> None:
    """In float32, before differences can grow."""
    images = torch.from_numpy(result_file.read(digits)["train/images"]).flatten(1)[:300]
    all_settings = members(settings_of, "lvae-bn-wu")
    alone = [Trainer(settings, images, "cpu") for settings in all_settings]
    together = Ensemble([Trainer(settings, images, "cpu") for settings in all_settings])
    for trainer in alone:
        trainer.run_epoch()
    together.run_epoch()
    for one, two in zip(alone, together.members, strict=True):
        torch.testing.assert_close(
            two.parameters.values.data, one.parameters.values.data, rtol=1e-3, atol=2e-4
        )
        assert two.history.criterion == pytest.approx(one.history.criterion, rel=1e-5)


def test_bfloat16_costs_an_ensemble_no_more_than_a_run(
    settings_of: SettingsOf, digits: Path
) -> None:
    """The gradients of the first step are as close to those of float32."""
    images = torch.from_numpy(result_file.read(digits)["train/images"]).flatten(1)[:300]
    all_settings = members(settings_of, "lvae-bn-wu", batch_size=300)

    def trainers(name: str) -> list[Trainer]:
        made = [Trainer(settings, images, "cpu") for settings in all_settings]
        for trainer in made:
            set_arithmetic(trainer.model, name)
        return made

    wide, narrow = trainers("float32"), trainers("bfloat16")
    together = Ensemble(trainers("bfloat16"))
    for trainer in (*wide, *narrow, together):
        trainer.run_epoch()
    exact = torch.stack([trainer.parameters.gradients for trainer in wide])
    alone = torch.stack([trainer.parameters.gradients for trainer in narrow])
    assert 0 < (together.gradients - exact).norm() < 1.2 * (alone - exact).norm()


def test_members_are_clipped_one_by_one() -> None:
    gradients = torch.tensor([[3.0, 4.0], [0.3, 0.4], [30.0, 0.0]])
    clip_gradients(gradients, norm=5.0, element=3.5)
    expected = torch.tensor([[3.0, 3.5], [0.3, 0.4], [3.5, 0.0]])
    torch.testing.assert_close(gradients, expected)


def test_an_interrupted_ensemble_continues(
    settings_of: SettingsOf, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_settings = members(settings_of, "vae")
    train_together(
        [TrainingJob(s, tmp_path / f"a{i}") for i, s in enumerate(all_settings)], digits, 5
    )
    whole = Ensemble.run_epoch

    def stop_after_one(self: Ensemble) -> None:
        whole(self)
        os.kill(os.getpid(), signal.SIGTERM)

    jobs = [TrainingJob(s, tmp_path / f"b{i}") for i, s in enumerate(all_settings)]
    monkeypatch.setattr(Ensemble, "run_epoch", stop_after_one)
    with pytest.raises(Interrupted, match="after epoch 1/4"):
        train_together(jobs, digits, 5)
    monkeypatch.setattr(Ensemble, "run_epoch", whole)
    # one member alone continues too, and then the others join at another epoch
    train_together(jobs[:1], digits, 5)
    train_together(jobs[1:], digits, 5)
    for i in (1, 2):
        one, two = (load_tensors(tmp_path / f"{k}{i}/weights.safetensors")[0] for k in "ab")
        for name, tensor in one.items():
            torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5)


def test_what_can_stand_side_by_side(settings_of: SettingsOf, digits: Path) -> None:
    base = settings_of("vae")
    assert ensemble_key(base) == ensemble_key(settings_of("vae-wu") | {"seed": 3})
    assert ensemble_key(base) != ensemble_key(settings_of("vae-bn"))
    assert ensemble_key(base) != ensemble_key(settings_of("vae", learning_rate=0.1))
    images = torch.from_numpy(result_file.read(digits)["train/images"]).flatten(1)
    with pytest.raises(ValueError, match="share architecture"):
        Ensemble([Trainer(settings_of(v), images, "cpu") for v in ("vae", "vae-bn")])


def test_packs_train_ensembles(
    smoke_config: dict[str, Any],
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / Layout.data("mnist5k")
    target.parent.mkdir(parents=True)
    target.write_bytes(digits.read_bytes())
    config = copy.deepcopy(smoke_config)
    config["compute"] |= {"pack": 4, "ensemble": 3}
    config["experiments"] = {
        "ladder": [
            {"datasets": ["mnist5k"], "variants": ["vae", "vae-bn"], "depths": [2], "seeds": [0, 1]}
        ]
    }
    together: list[int] = []
    original = Ensemble.__init__

    def counted(self: Ensemble, trainers: list[Trainer]) -> None:
        together.append(len(trainers))
        original(self, trainers)

    monkeypatch.setattr(Ensemble, "__init__", counted)
    (name,) = packs(config)
    work.work_through(config, "train", name)
    assert together == [2, 2]
    for run in all_runs(config):
        assert (Path(Layout("smoke").work(run)) / "training.h5").is_file()
    work.work_through(config, "train", name)
    assert together == [2, 2], "what is complete is not done again"
    assert Run("mnist5k", "vae", 2, 1) in all_runs(config)
