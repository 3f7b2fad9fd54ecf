"""What is read is what was asked for: every reader says what differs and how to mend it, in one line."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import rungs
from conftest import changed
from rungs.errors import DataError, StoreError
from rungs.storage import result_file
from rungs.study import identity
from rungs.study import profile as configuration
from rungs.study.layout import Layout
from rungs.study.runs import Run

RUN = "mine/gauss/latent2/seed0"
FOLDER = Path("results/p/runs") / RUN
PROFILE = """
profile: p
experiments:
  mixture:
    - {datasets: [mine], variants: [gauss, longer], latents: [2], seeds: [0]}
  vae:
    - {datasets: [mine], variants: [gauss], latents: [2], seeds: [0]}
variants:
  longer: {model: single, continues: gauss, training: {adam_epsilon: 1.0e-8}}
network: {hidden_sizes: [8]}
training: {epochs: 1, continuation: 0.0, batch_size: 50}
evaluation: {samples: 2, images: 10, train_images: 10, unit_samples: 2}
datasets:
"""
PREPARED = "results/data/mine.h5: was prepared "
IMAGES = f"{PREPARED}from other images than those of datasets.mine; run: rungs prepare mine"

Command = Callable[..., str]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command with an entry of the data set; what it says is returned."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 200, (60, 8, 8)).astype(np.uint8)
    np.savez("a.npz", images=images)
    np.savez("b.npz", images=255 - images)

    def run(*words: str, entry: str = "images: a.npz") -> str:
        Path("p.yaml").write_text(f"{PROFILE}  mine: {{{entry}}}\n")
        cli = import_module("rungs.cli")
        done = CliRunner().invoke(cli.cli, [*words, "--config", "p.yaml"])
        if done.exception is None or isinstance(done.exception, SystemExit):
            return str(done.output)
        assert isinstance(done.exception, rungs.errors.RungsError), done.exception
        return str(done.exception)

    return run


def config() -> dict[str, Any]:
    return configuration.load(["p.yaml"])


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("images: b.npz", IMAGES),
        (
            "images: a.npz, invert: true",
            f"{PREPARED}with other settings than datasets.mine has (invert); run: rungs prepare mine",
        ),
        (
            "images: a.npz, size: [4, 4], fit: crop",
            f"{PREPARED}with other settings than datasets.mine has (fit, size); "
            "run: rungs prepare mine",
        ),
    ],
)
def test_other_data_than_were_prepared(command: Command, entry: str, told: str) -> None:
    assert "48 training" in command("prepare", "mine")
    for words in (
        ("train", RUN),
        ("evaluate", RUN),
        ("classifier", "mine"),
        ("pack", "train", "mine.single.0.0000"),
    ):
        assert command(*words, entry=entry) == told, words
    with pytest.raises(DataError) as error:
        rungs.load_data("mine", config())
    assert str(error.value) == told
    assert not FOLDER.exists() or not list(FOLDER.glob("*"))
    # as it was asked for, and where nothing is asked for
    command("list", "datasets")
    assert rungs.load_data("mine", config()).train_images.shape == (48, 8, 8)
    assert rungs.load_data("mine").train_images.shape == (48, 8, 8)


def test_another_run_than_was_trained(command: Command) -> None:
    command("prepare", "mine")
    missing = f"{FOLDER}/training.h5: the file is missing; make it with 'rungs train {RUN}'."
    assert command("evaluate", RUN) == missing
    command("train", RUN)
    assert command("evaluate", RUN).startswith(f"{FOLDER}/evaluation.h5\n")
    readers = [("evaluate", RUN), ("sample", RUN, "x.png"), ("figure", "vae_samples")]
    done = (f"{RUN}: is evaluated\n", "x.png: ", "results/p/figures/vae_samples.png")
    for words, told in zip(readers, done, strict=True):
        assert told in command(*words), words
    # another size is prepared
    size = "images: a.npz, size: [4, 4], fit: crop"
    command("prepare", "mine", entry=size)
    told = f"{FOLDER}/training.h5: was made with other settings than this configuration's (shape)"
    for words in readers:
        assert command(*words).startswith(f"{PREPARED}with other settings")
        assert command(*words, entry=size) == f"{told}; run: rungs train {RUN}"
    # other images of the same size
    other = "images: b.npz"
    command("prepare", "mine", entry=other)
    told = f"{FOLDER}/training.h5: was trained on other data than results/data/mine.h5"
    for words in readers:
        assert command(*words, entry=other) == f"{told}; run: rungs train {RUN}"
    # trained again: the evaluation is of the training before
    command("train", RUN, entry=other)
    told = (
        f"{FOLDER}/evaluation.h5: is of an earlier training of this run; run: rungs evaluate {RUN}"
    )
    assert command("figure", "vae_samples", entry=other) == told
    assert command("sample", RUN, "x.png", entry=other) == told
    with pytest.raises(StoreError) as error:
        rungs.load(FOLDER)
    assert str(error.value) == told
    command("evaluate", RUN, entry=other)
    for words, told in zip(readers, done, strict=True):
        assert told in command(*words, entry=other), words
    loaded = rungs.load(RUN, "p", config())
    with pytest.raises(
        StoreError, match=r"\(network.hidden_sizes, training.epochs\); run: rungs tr"
    ):
        rungs.load(
            RUN, "p", changed(changed(config(), "training.epochs", 2), "network.hidden_sizes", [9])
        )
    assert loaded.evaluation is not None
    with pytest.raises(StoreError, match=r"evaluation.h5: .* \(samples\); run: rungs evaluate"):
        identity.check_evaluated(changed(config(), "evaluation.samples", 3), Run.parse(RUN))
    # where it is computed is no other run
    rungs.load(RUN, "p", changed(config(), "compute.threads", 2))


def test_another_run_than_is_continued(command: Command) -> None:
    longer = "mine/longer/latent2/seed0"
    command("prepare", "mine")
    assert command("train", longer).endswith(
        f"and {longer} starts from these weights; run: rungs train {RUN}"
    )
    command("train", RUN)
    command("train", longer)
    assert command("evaluate", longer).startswith("results/p/runs/mine/longer/")
    command("prepare", "mine", entry="images: b.npz")
    assert "was trained on other data" in command("train", longer, entry="images: b.npz")
    command("prepare", "mine")
    attributes = result_file.read(FOLDER / "training.h5").attributes
    arrays = result_file.read(FOLDER / "training.h5").arrays
    result_file.write(FOLDER / "training.h5", arrays, attributes | {"key": "0123456789abcdef"})
    assert command("sample", longer, "x.png").endswith(
        f"{RUN}, which it continues, has been trained again since; run: rungs train {longer}"
    )


def test_the_classifier(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from rungs.evaluation import classifier

    monkeypatch.setattr(classifier, "STEPS", 1)
    labels = np.arange(60) % 2
    for name in ("a", "b"):
        np.savez(f"{name}.npz", images=np.load(f"{name}.npz")["images"], labels=labels)
    entry, other = (f"images: {name}.npz, labels: labels" for name in ("a", "b"))
    command("prepare", "mine", entry=entry)
    command("train", RUN, entry=entry)
    path = Layout.classifier("mine")
    told = f"{path}: the file is missing; make it with 'rungs classifier mine'."
    assert command("evaluate", RUN, entry=entry) == told
    command("classifier", "mine", entry=entry)
    command("prepare", "mine", entry=other)
    command("train", RUN, entry=other)
    told = f"{path}: is of other data than results/data/mine.h5; run: rungs classifier mine"
    assert command("evaluate", RUN, entry=other) == told


def test_what_an_earlier_version_does_not_say(command: Command) -> None:
    """One's own data must say what they were made from; the others cannot differ."""
    command("prepare", "mine")
    path = Path(Layout.data("mine"))
    found = result_file.read(path)
    result_file.write(path, found.arrays, {"provenance": found.attributes["provenance"]})
    told = "by an earlier version of rungs, which did not write from which images"
    assert command("train", RUN) == f"{PREPARED}{told}; run: rungs prepare mine"
    rungs.data.prepare("mnist5k", None, Path("cache")).write(Layout.data("mnist5k"))
    assert identity.check_prepared(config(), "mnist5k") == Path(Layout.data("mnist5k"))
