"""The same work again: the whole smoke profile, every family of models in it, in another folder, by
another number of processes; then what the number of threads and the arithmetic change."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from conftest import copy_workflow, run_snakemake
from rungs.evaluation.run import Inputs, evaluate
from rungs.jobs.train import train
from rungs.models import MODELS
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.study import profile as configuration
from rungs.study.runs import Run
from rungs.study.settings import evaluation_settings, resolve

#: what tells of times, of the machine's load, or of the moment of writing
TIMES = {
    *("training-cost.json", "evaluation-cost.json", "classifier-cost.json"),
    *("compute.csv", "compute.md"),
    *("report.html", "ro-crate-metadata.json"),
}


def results_of(clone: Path) -> dict[str, Path]:
    root = clone / "results"
    found = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
    skipped = ("/logs/", "/packs/", "/work/", "/source/")
    return {name: path for name, path in found.items() if not any(s in name for s in skipped)}


def test_the_same_profile_twice(tmp_path: Path) -> None:
    """Byte for byte: weights, histories, evaluations, figures and tables."""
    clones = []
    for folder, cores, pack in (("first", "1", 8), ("second/in/another/place", "2", 3)):
        (tmp_path / folder).mkdir(parents=True)
        clone = copy_workflow(tmp_path / folder)
        profile = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text())
        profile |= {"compute": {"pack": pack}}
        (clone / "again.yaml").write_text(yaml.safe_dump(profile))
        done = run_snakemake(clone, "all", "--configfile", "again.yaml", "--cores", cores)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        clones.append(clone)
    first, second = (results_of(clone) for clone in clones)
    # the frozen configuration is named by its hash, and pack is part of it
    names = {name for name in first if "/config/" not in name}
    assert names == {name for name in second if "/config/" not in name}
    same = {name for name in names if filecmp.cmp(first[name], second[name], shallow=False)}
    models = {
        result_file.read(first[name], only=()).attributes["run"]["model"]
        for name in names
        if name.endswith("training.h5")
    }
    print(
        f"\n{len(same)} of {len(names)} files are the same, byte for byte; the others:",
        *sorted(names - same),
        sep="\n  ",
    )
    assert models == set(MODELS)
    assert {Path(name).name for name in names - same} <= TIMES


# --- threads and arithmetic ---------------------------------------------------------------------

QUICK = ("gauss/latent10", "lvae-bn-wu/depth2")
EPOCHS = 5


@pytest.fixture
def threads() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def settings_of(name: str, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run of the default profile, for five epochs."""
    config = configuration.load([ROOT / "config" / "quick.yaml"])
    run = Run.parse(f"mnist5k/{name}/seed0")
    settings = resolve(config, run) | changes
    settings["training"] |= {"epochs": EPOCHS}
    return settings, evaluation_settings(config, run) | {
        "images": 500,
        "train_images": 500,
    }


def bound(folder: Path, data: Path, evaluation: dict[str, Any]) -> np.ndarray:
    """L_100 of each test image."""
    evaluate(Inputs(folder, data, evaluation))
    return result_file.read(folder / "evaluation.h5", only=["test/lk"])["test/lk"]


def last_elbo(folder: Path) -> float:
    return float(result_file.read(folder / "training.h5", only=["elbo"])["elbo"][-1])


def told(what: str, elbos: tuple[float, float], first: np.ndarray, second: np.ndarray) -> float:
    shift = second - first
    print(
        f"\n{what}: training ELBO {elbos[0]:.3f} and {elbos[1]:.3f}; L_100 {first.mean():.3f} and "
        f"{second.mean():.3f}, of one image by up to {np.abs(shift).max():.2g}"
    )
    return float(abs(shift.mean()))


def with_settings(folder: Path, target: Path, **changes: Any) -> Path:
    """The same trained run, as if its settings had been others."""
    shutil.copytree(folder, target)
    trained = result_file.read(target / "training.h5")
    settings = trained.attributes["run"] | changes
    result_file.write(
        target / "training.h5", trained.arrays, trained.attributes | {"run": settings}
    )
    return target


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", QUICK)
def test_one_and_two_threads(name: str, digits: Path, tmp_path: Path) -> None:
    """The same weights measured, and the same run trained and measured."""
    for count in (1, 2):
        settings, evaluation = settings_of(name, threads=count)
        train(settings, digits, tmp_path / f"{count}", 5)
    one = bound(tmp_path / "1", digits, evaluation)
    again = bound(with_settings(tmp_path / "1", tmp_path / "again", threads=2), digits, evaluation)
    elbos = last_elbo(tmp_path / "1"), last_elbo(tmp_path / "2")
    # what rungs verify grants another number of threads
    assert told(f"{name}, evaluated on 1 and 2 threads", (elbos[0],) * 2, one, again) < 1e-3
    assert np.abs(again - one).max() < 0.01
    two = bound(tmp_path / "2", digits, evaluation)
    assert told(f"{name}, trained and evaluated on 1 and 2", elbos, one, two) < 0.5


@pytest.mark.parametrize("name", QUICK)
def test_float32_and_bfloat16(
    name: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where bfloat16 is not faster the package uses float32; here it is made to round in any case."""
    monkeypatch.setattr("rungs.models.arithmetic.bfloat16_is_faster", lambda device: True)
    for kind in ("float32", "bfloat16"):
        settings, evaluation = settings_of(name, precision=kind)
        train(settings, digits, tmp_path / kind, 5)
    evaluation |= {"images": 100}
    wide = bound(tmp_path / "float32", digits, evaluation)
    narrow = bound(
        with_settings(tmp_path / "float32", tmp_path / "again", precision="bfloat16"),
        digits,
        evaluation,
    )
    elbos = last_elbo(tmp_path / "float32"), last_elbo(tmp_path / "bfloat16")
    assert told(f"{name}, evaluated in float32, bfloat16", (elbos[0],) * 2, wide, narrow) < 0.05
    trained = bound(tmp_path / "bfloat16", digits, evaluation)
    assert told(f"{name}, trained and evaluated in float32, bfloat16", elbos, wide, trained) < 2
