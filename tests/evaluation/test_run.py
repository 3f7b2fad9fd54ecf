"""The evaluation of a trained run, written to its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rungs.evaluation.run import Inputs, evaluate, evaluate_shard
from rungs.jobs.train import train
from rungs.storage import result_file

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
