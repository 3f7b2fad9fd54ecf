"""The evaluation of a trained run, written to its file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rungs.claims import arrays
from rungs.evaluation import classifier
from rungs.evaluation.definitions import CLAIMED, is_claimed
from rungs.evaluation.run import Inputs, evaluate, evaluate_shard
from rungs.jobs.train import train
from rungs.models import entry
from rungs.storage import result_file
from rungs.study.layout import BEFORE
from rungs.study.runs import Run
from rungs.study.settings import resolve

SettingsOf = Callable[..., dict[str, Any]]


def test_evaluation_of_a_trained_run(settings_of: SettingsOf, digits: Path, tmp_path: Path) -> None:
    train(settings_of(epochs=2), digits, tmp_path, 5)
    settings = {
        "samples": 20,
        "images": 60,
        "train_images": 60,
        "unit_samples": 4,
        "chunk_rows": 300,
    }
    evaluate(Inputs(tmp_path, digits, settings))
    first = (tmp_path / "evaluation.h5").read_bytes()
    found = result_file.read(tmp_path / "evaluation.h5")
    assert found["test/lk"].shape == (60,)
    assert np.all(found["test/lk"] >= found["test/elbo"] - 1e-9)
    assert np.all((found["test/ess"] >= 1 - 1e-9) & (found["test/ess"] <= 20 + 1e-9))
    assert [len(kl) for kl in found.layers("kl")] == [8, 4]
    evaluate(Inputs(tmp_path, digits, settings))
    assert (tmp_path / "evaluation.h5").read_bytes() == first
    cost = json.loads((tmp_path / "training-cost.json").read_text())
    assert cost["seconds"] > 0


def test_shards_are_merged_exactly(settings_of: Any, digits: Path, tmp_path: Path) -> None:
    train(settings_of(epochs=1), digits, tmp_path, 5)
    settings = {
        "samples": 100,
        "images": 230,
        "train_images": 20,
        "unit_samples": 2,
        "chunk_rows": 90,
    }
    inputs = Inputs(tmp_path, digits, settings)
    evaluate(inputs, tmp_path / "whole")
    shards = tuple(tmp_path / f"{i}.h5" for i in range(3))
    for i, path in enumerate(shards):
        evaluate_shard(inputs, (i, 3), path)
    assert [len(result_file.read(path)["test/lk"]) for path in shards] == [50, 100, 80]
    evaluate(replace(inputs, shards=shards), tmp_path / "merged")
    assert result_file.read(tmp_path / "merged" / "evaluation.h5")["test/lk_gap"] >= 0
    whole, merged = (tmp_path / name / "evaluation.h5" for name in ("whole", "merged"))
    assert whole.read_bytes() == merged.read_bytes()
    assert {"test/lk", "before/test/lk"} <= result_file.read(merged).arrays.keys()


SMALL = {"samples": 5, "images": 60, "train_images": 60, "unit_samples": 3, "chunk_rows": 300}
SIZES = {"depth": 2, "latent": 2, "codes": 16}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """The digits' classifier, trained a short time."""
    path = tmp_path_factory.mktemp("classifier") / "mnist5k-classifier.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 30)
        classifier.train(digits, path)
    return path


@pytest.mark.parametrize(
    "variant",
    ["lvae-bn-wu", "gauss", "gauss-mixq", "vq", "conv-vae", "ae", "vaegan"],
)
def test_the_evaluation_before_the_continuation_is_that_of_the_run_without(
    variant: str, smoke_config: dict[str, Any], digits: Path, judge: Path, tmp_path: Path
) -> None:
    """Of the arrays that claims read, all and no others, to the bit: the random numbers are the same."""
    model = entry(smoke_config["variants"][variant]["model"])
    settings = resolve(smoke_config, Run("mnist5k", variant, SIZES[model.axis], 0, model.axis))
    found = {}
    for share in (0.0, 1.0):
        settings["training"] |= {"epochs": 1, "batch_size": 400, "continuation": share}
        folder = tmp_path / str(share)
        train(settings, digits, folder, 5)
        evaluate(Inputs(folder, digits, SMALL, judge if model.classifier else None))
        found[share] = result_file.read(folder / "evaluation.h5").arrays
    before = {n.removeprefix(BEFORE): a for n, a in found[1.0].items() if n.startswith(BEFORE)}
    assert before.keys() == {name for name in found[0.0] if is_claimed(name)}
    assert before
    for name, array in before.items():
        np.testing.assert_array_equal(array, found[0.0][name], err_msg=name)
    assert found[1.0].keys() - {f"{BEFORE}{n}" for n in before} == found[0.0].keys()
    own = {"test/labels", "frechet/test_features", "average/train"}
    assert any(not np.array_equal(before[n], found[1.0][n]) for n in before.keys() - own)


def test_every_array_that_claims_read_is_described() -> None:
    """The patterns are names in the docstring of the claims' arrays."""
    described = re.findall(r"``([^`]+)``", arrays.__doc__ or "")
    for pattern in CLAIMED:
        name = pattern.replace("layers/*", "layers/<i>").replace("probe/*", "probe/<m>")
        name = name.replace("correct/*", "correct/<kind>")
        short = name.rpartition("/")[2]
        shown = {name, short} & set(described)
        assert shown or name == "frechet/reconstruction_features", pattern
