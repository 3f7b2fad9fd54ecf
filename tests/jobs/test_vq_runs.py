"""Runs of the VQ-VAE and its continuous sibling from training to evaluation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convolutional_models import (
    random,
)
from rungs.data import prepare
from rungs.data.prepared import Prepared
from rungs.errors import ConfigError
from rungs.evaluation.run import Inputs, evaluate
from rungs.jobs.work import prior_run, train_runs
from rungs.storage import result_file
from rungs.study import profile as configuration
from rungs.study.layout import Layout
from rungs.study.runs import Run
from rungs.study.settings import code_prior_settings, evaluation_settings, resolve
from rungs.tables.moments import make as moments_table
from rungs.training.trainer import Trainer

CONTINUOUS = ("conv-vae", "conv-vae-mog")
TINY = """
profile: tiny
experiments:
  vq:
    - {datasets: [mnist5k], variants: [vq, vq-pixel, vq-nocommit], codes: [8], seeds: [0]}
    - {datasets: [mnist5k], variants: [conv-vae], latents: [2], seeds: [0]}
network:
  prior_components: 7
  convolutional: {channels: 4, residual_blocks: 1, residual_channels: 2, components: 1}
  pixelcnn: {channels: 2, layers: 1, reach: 1}
  vq: {code_dim: 2}
training: {epochs: 2}
prior: {network: {channels: 4, layers: 1}, training: {epochs: 2}}
evaluation: {samples: 4, images: 30, train_images: 20, unit_samples: 2}
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A tiny profile in a working folder of its own, with 60 images."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    config = configuration.load([tmp_path / "tiny.yaml"])
    monkeypatch.chdir(tmp_path)
    whole = prepare("mnist5k", None, tmp_path)
    few = [array[:60] for array in (whole.train_images, whole.train_labels)]
    few += [array[:60] for array in (whole.test_images, whole.test_labels)]
    Prepared(*few, {}).write(Path(Layout.data("mnist5k")))
    return config


def test_a_priors_settings_are_its_own(tiny: dict[str, Any]) -> None:
    run = Run("mnist5k", "vq", 8, 0, "codes")
    settings = code_prior_settings(tiny, run)
    assert settings is not None
    assert settings["model"] == "code-prior"
    assert settings["network"] == {
        "channels": 4,
        "layers": 1,
        "dropout": 0.0,
        "codes": 8,
        "grid": [7, 7],
    }
    assert settings["training"]["epochs"] == 2
    trained = resolve(tiny, run)
    tiny["prior"]["training"]["epochs"] = 3
    assert resolve(tiny, run) == trained
    assert code_prior_settings(tiny, run) != settings
    for variant, axis in (("vq-nocommit", "codes"), ("conv-vae", "latent")):
        assert code_prior_settings(tiny, Run("mnist5k", variant, 8, 0, axis)) is None
    with pytest.raises(ConfigError, match="no learnt prior"):
        prior_run(tiny, Run("mnist5k", "vq-nocommit", 8, 0, "codes"), Path("x"))


@pytest.mark.parametrize("variant", ["vq", "vq-pixel", "vq-nocommit", *CONTINUOUS])
def test_train_prior_evaluate(tiny: dict[str, Any], variant: str) -> None:
    axis, size = ("latent", 2) if variant in CONTINUOUS else ("codes", 8)
    run = Run("mnist5k", variant, size, 0, axis)
    folder, data = Path(Layout("tiny").run(run)), Path(Layout.data("mnist5k"))
    train_runs(tiny, {run: folder})
    evaluation = evaluation_settings(tiny, run)
    learnt = code_prior_settings(tiny, run) is not None
    if learnt:
        prior_run(tiny, run, folder / "prior")
        before = (folder / "prior/weights.safetensors").stat().st_mtime_ns
        prior_run(tiny, run, folder / "prior")
        assert (folder / "prior/weights.safetensors").stat().st_mtime_ns == before
        evaluation["prior"] = result_file.read(folder / "prior/training.h5").attributes["key"]
    evaluate(Inputs(folder, data, evaluation))
    found = result_file.read(folder / "evaluation.h5")
    if axis == "latent":
        difference = found["test/elbo"] - (found["test/reconstruction"] - found["test/kl"])
        assert np.abs(difference).mean() < 0.1 * np.abs(found["test/elbo"]).mean()
        table = moments_table({"evaluation": [folder / "evaluation.h5"]})
        assert len(table) == 2 * 49
        assert set(table["how"]) == {"exact"}
        assert set(table["prior"]) == {"N(0, I)" if variant == "conv-vae" else "other"}
        return
    assert found["test/codes"].shape == (30, 49)
    bound = found["test/reconstruction"] + found["test/prior"]
    np.testing.assert_allclose(found["test/lk"], bound, rtol=1e-5)
    uniform = np.allclose(found["test/prior"], -49 * math.log(8), rtol=1e-5)
    assert uniform != learnt
    assert found["pictures/samples"].shape == (36, 784)
    again = folder.parent / "again"
    evaluate(Inputs(folder, data, evaluation), again)
    assert (again / "evaluation.h5").read_bytes() == (folder / "evaluation.h5").read_bytes()


@pytest.mark.parametrize("variant", ["vq", "vq-ema"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    tiny: dict[str, Any], variant: str
) -> None:
    """The codebook's buffers included."""
    settings = resolve(tiny, Run("mnist5k", variant, 8, 0, "codes"))
    pictures = torch.randint(0, 256, (40, 784), generator=random(), dtype=torch.uint8)

    def fresh() -> Trainer:
        return Trainer(settings, pictures, "cpu")

    whole, first, second = fresh(), fresh(), fresh()
    for trainer in (whole, whole, first):
        trainer.run_epoch()
    second.restore(*first.state())
    second.run_epoch()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
