"""Training and evaluation from Python: the numbers, files and messages of the command line."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import rungs
from rungs.cli import cli
from rungs.errors import RungsError, StoreError
from rungs.evaluation import classifier
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.study.layers import merge
from rungs.training.trainer import Trainer

#: laid over the smoke profile, by the command line and in Python
TINY = {
    "training": {"epochs": 2, "batch_size": 40},
    "evaluation": {"samples": 5, "images": 10, "train_images": 10, "unit_samples": 2},
    "variants": {"gauss-affine": {"training": {"epochs": 2}}},
}
#: variant, axis and size: a run that continues another, one of several layers, one with a prior of codes
RUNS = [("gauss-affine", "latent", 2), ("lvae-bn-wu", "depth", 2), ("vq-kmeans", "codes", 4)]


def dots(count: int = 100) -> np.ndarray:
    """Images of 8x8 pixels from 0 to 16, as scikit-learn's digits have them."""
    return np.random.default_rng(0).integers(0, 17, (count, 8, 8))


def train(config: dict[str, Any], variant: str, axis: str, size: int, **more: Any) -> Any:
    options: dict[str, Any] = {axis: size, "name": "dots", "white": 16, "config": config}
    return rungs.train(variant, dots(), **(options | more))


@pytest.fixture(scope="module")
def config(smoke_config: dict[str, Any]) -> dict[str, Any]:
    return merge(smoke_config, TINY)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with contextlib.chdir(tmp_path_factory.mktemp("training")):
        yield Path.cwd()


@pytest.fixture(scope="module")
def by_command(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> Path:
    """A folder in which the command line has trained and evaluated the runs."""
    folder = tmp_path_factory.mktemp("command")
    np.savez(folder / "dots.npz", images=dots())
    entry = {"images": "dots.npz", "array": "images", "white": 16}
    own = {"profile": "notebook", "datasets": {"dots": entry}}
    (folder / "own.yaml").write_text(yaml.safe_dump(merge(TINY, own)))
    profile = ["--config", str(ROOT / "config" / "smoke.yaml"), "--config", "own.yaml"]
    with contextlib.chdir(folder):
        cli(["prepare", *profile, "dots"], standalone_mode=False)
        for variant, axis, size in (("gauss", "latent", 2), *RUNS):
            run = f"dots/{variant}/{axis}{size}/seed0"
            for verb in ("train", "prior", "evaluate"):
                if verb != "prior" or axis == "codes":
                    cli([verb, *profile, run], standalone_mode=False)
    return folder


def assert_same_files(here: Path, there: Path) -> None:
    for name in ("training.h5", "evaluation.h5"):
        found, expected = (result_file.read(folder / name) for folder in (here, there))
        assert found.attributes["key"] == expected.attributes["key"]
        assert found.attributes["run"] == expected.attributes["run"]
        assert set(found.arrays) == set(expected.arrays)
        for array, values in expected.arrays.items():
            assert found[array].dtype == values.dtype, array
            assert found[array].tobytes() == values.tobytes(), array


@pytest.mark.parametrize(("variant", "axis", "size"), RUNS)
def test_runs_are_those_of_the_command_line(
    place: Path, config: dict[str, Any], by_command: Path, variant: str, axis: str, size: int
) -> None:
    """The same keys and, byte for byte, the same weights, histories and evaluations."""
    run = train(config, variant, axis, size)
    assert run.name == f"dots/{variant}/{axis}{size}/seed0"
    assert run.evaluation is None
    assert (run.prior is not None) == (axis == "codes")
    evaluation = rungs.evaluate(run)
    there = by_command / "results/notebook/runs" / run.name
    assert (run.folder / "weights.safetensors").read_bytes() == (
        there / "weights.safetensors"
    ).read_bytes()
    assert_same_files(run.folder, there)
    again = rungs.load(run.name, profile="notebook")
    assert again.evaluation is not None
    np.testing.assert_array_equal(again.evaluation["test/lk"], evaluation["test/lk"])
    np.testing.assert_array_equal(again.sample(3), run.sample(3))


def test_a_complete_run_is_found_again(
    place: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(config, "gauss", "latent", 2, epochs=1)
    written = (first.folder / "training.h5").stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", lambda self: pytest.fail("it is trained again"))
        again = train(config, "gauss", "latent", 2, epochs=1)
    np.testing.assert_array_equal(again.sample(2), first.sample(2))
    assert (first.folder / "training.h5").stat().st_mtime_ns == written
    evaluation = rungs.evaluate(again)
    made = (first.folder / "evaluation.h5").stat().st_mtime_ns
    np.testing.assert_array_equal(rungs.evaluate(first)["test/lk"], evaluation["test/lk"])
    assert (first.folder / "evaluation.h5").stat().st_mtime_ns == made
    fewer = rungs.evaluate(first.name, profile="notebook", config={"evaluation": {"images": 8}})
    assert len(fewer["test/lk"]) == 8
    with pytest.raises(StoreError, match=r"other settings .*; run: rungs train dots/gauss"):
        rungs.evaluate(first, config={"training": {"batch_size": 50}})
    longer = train(config, "gauss", "latent", 2, epochs=2)
    assert longer.evaluation is None
    assert len(longer.history["elbo"]) == len(first.history["elbo"]) + 1


def test_an_interrupted_run_continues(
    place: Path,
    config: dict[str, Any],
    by_command: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the same bits; the process has its own threads and handlers of signals afterwards."""
    whole = Trainer.run_epoch
    epochs = []

    def and_interrupt(self: Trainer) -> None:
        whole(self)
        epochs.append(self.epoch)
        if self.epoch == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "run_epoch", and_interrupt)
    state = torch.get_deterministic_debug_mode(), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="dots/gauss/latent2/seed0: stopped by SIGINT"):
        train(config, "gauss", "latent", 2, profile="stopped")
    assert state == (torch.get_deterministic_debug_mode(), signal.getsignal(signal.SIGINT))
    run = train(config, "gauss", "latent", 2, profile="stopped")
    assert epochs == [1, 2, 3]
    there = by_command / "results/notebook/runs/dots/gauss/latent2/seed0/weights.safetensors"
    assert (run.folder / "weights.safetensors").read_bytes() == there.read_bytes()


def test_a_thread_trains(place: Path, config: dict[str, Any]) -> None:
    """Where Python lets nobody note signals."""
    found = []
    thread = threading.Thread(
        target=lambda: found.append(train(config, "gauss", "latent", 2, profile="thread"))
    )
    thread.start()
    thread.join()
    assert found[0].sample(1).shape == (1, 8, 8)


def test_labels_and_names_of_images(
    place: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name the content gives one; labels are classes, and evaluation compares samples by them."""
    labels = np.where(dots()[:, 0, 0] > 8, "bright", "dark")
    run = train(config, "gauss", "latent", 1, name=None, labels=labels, epochs=1)
    dataset = run.settings["dataset"]
    assert dataset.startswith("array-")
    prepared = rungs.load_data(dataset)
    assert prepared.provenance["classes"] == ["bright", "dark"]
    assert (len(prepared.train_images), len(prepared.test_images)) == (80, 20)
    assert prepared.train_images.max() == 255
    monkeypatch.setattr(classifier, "STEPS", 10)
    evaluation = rungs.evaluate(run)
    assert Path(f"results/data/{dataset}-classifier.safetensors").is_file()
    assert len(evaluation["test/labels"]) == 10
    assert set(evaluation["test/labels"]) <= {0, 1}


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ("mnist5k", {}, "variant gauss: has a size; pass latent=, for example latent=2"),
        ("mnist5k", {"depth": 2}, "variant gauss: has no depth; pass latent="),
        ("mnist5", {"latent": 2}, "data set 'mnist5' is not known; did you mean 'mnist5k'"),
        ("mnist5k", {"latent": 2, "epochs": 0}, r"gauss\.training\.epochs: found 0"),
        ("mnist5k", {"latent": 2, "white": 3}, "white= belongs to images"),
        ("mnist5k", {"latent": 2, "config": {"trainin": {}}}, "did you mean 'training'"),
        ("mnist5k", {"latent": 2, "profile": "a/b"}, 'key profile: found "a/b"'),
        (dots(), {"latent": 2}, "largest pixel is 16 .*pass white=16, or 255"),
        (dots(), {"latent": 2, "white": 16, "name": "../x"}, "'../x' is not a valid name"),
        (dots(), {"latent": 2, "white": 16, "labels": np.zeros(100)}, "labels given: .*float64"),
        (np.zeros((9, 64)), {"latent": 2}, r"expected numbers \[n, height, width\]"),
        (np.ma.masked_less(dots(), 2), {"latent": 2}, "some values are masked"),
        ([np.zeros((2, 8)), np.zeros((8, 8))], {"latent": 2}, "are no array"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(
    images: Any,
    options: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RungsError, match=message):
        rungs.train("gauss", images, **options)
    assert not list(tmp_path.rglob("*"))


def test_settings_need_not_suit_other_runs(place: Path, config: dict[str, Any]) -> None:
    """Those of the default profile are of several layers, for which one size is too few."""
    run = train(config | {"network": {"hidden_sizes": [8]}}, "gauss", "latent", 1, epochs=1)
    assert run.settings["network"]["hidden_sizes"] == [8]


def test_the_nearest_variant_is_offered() -> None:
    with pytest.raises(RungsError, match="variant 'gaus' is not known; did you mean 'gauss'"):
        rungs.train("gaus", "mnist5k", latent=2)
