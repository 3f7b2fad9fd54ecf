"""docs/own-data.md: its examples are prepared, and its profile runs, without labels as well."""

from __future__ import annotations

import contextlib
import csv
import gzip
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from conftest import copy_workflow, run_snakemake
from rungs.data import catalogue
from rungs.figures import FIGURES
from rungs.jobs import work
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.study import profile as configuration
from rungs.study.layers import merge
from rungs.study.layout import Layout, inputs
from rungs.study.runs import Run, all_runs
from rungs.tables import TABLES

PAGE = (ROOT / "docs" / "own-data.md").read_text()
PROFILE, *FRAGMENTS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
#: the page's profile, smaller, and with what looks at labels in every document
TINY = """
experiments:
  ladder:
    - {datasets: [mine], variants: [vae, lvae-bn-wu], depths: [5], seeds: [0]}
  mixture:
    - {datasets: [mine], variants: [gauss, mog], latents: [10], seeds: [0]}
  vae:
    - {datasets: [mine], variants: [ae, gauss], latents: [2], seeds: [0]}
  moments:
    - {datasets: [mine], variants: [gauss], latents: [2], seeds: [0]}
variants: {gauss: {evaluation: {probe_latents: [2], probe_labels: [2]}}}
network: {prior_components: 5, latent_sizes: {first: 4}, hidden_sizes: {first: 16}}
training: {epochs: 1, warm_up_epochs: 1}
evaluation: {samples: 10, images: 20, train_images: 40, unit_samples: 2}
calibration: {images: 20, samples: 10}
"""
ONE_RUN = {"ladder": [{"datasets": ["mine"], "variants": ["vae"], "depths": [2], "seeds": [0]}]}


def pictures(folder: Path, count: int = 60, size: tuple[int, int] = (36, 30)) -> None:
    """Colour pictures; with names like ``class1/7.png``."""
    random = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        image = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(image).save(place / f"{number}.png")


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[None]:
    """What the page's examples name, in the working directory."""
    with contextlib.chdir(tmp_path):
        for name in ("photos", "more-photos", "pictures"):
            pictures(Path(name), count=120)
        grey = np.random.default_rng(0).integers(0, 256, (60, 28, 20), dtype=np.uint8)
        Path("scans").mkdir()
        for number, image in enumerate(grey):
            Image.fromarray(image).save(f"scans/{number}.png")
        labels = np.arange(60) % 10
        np.savez("mnist.npz", x_train=grey, y_train=labels, x_test=grey[:20], y_test=labels[:20])
        Path("fashion").mkdir()
        for split in ("train", "t10k"):
            for name, array in (("images-idx3", grey), ("labels-idx1", labels.astype(np.uint8))):
                shape = np.array(array.shape, ">u4").tobytes()
                content = bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()
                Path(f"fashion/{split}-{name}-ubyte.gz").write_bytes(gzip.compress(content))
        with h5py.File("faces.h5", "w") as file:
            file["frames"] = grey.reshape(60, -1) / 255
        np.savez("sklearn.npz", images=grey // 16 + grey // 255, target=labels)
        np.save("rows.npy", np.random.default_rng(0).integers(0, 256, (60, 3072), dtype=np.uint8))
        yield


def test_every_example_is_prepared(sources: None) -> None:
    found = {}
    for text in FRAGMENTS:
        Path("mine.yaml").write_text(text)
        Path("base.yaml").write_text(PROFILE)
        config = configuration.load(["base.yaml", "mine.yaml"])
        for name in yaml.safe_load(text)["datasets"]:
            done = CliRunner().invoke(
                import_module("rungs.cli").cli,
                ["prepare", name, "--config", "base.yaml", "--config", "mine.yaml"],
            )
            assert done.exit_code == 0, (name, done.output, done.exception)
            arrays = result_file.read(Layout.data(name))
            entry = catalogue(config)[name]
            assert arrays["train/images"].shape == (entry.train, *entry.shape)
            assert (arrays["test/labels"] >= 0).all() == entry.labelled
            found[name] = entry.shape
    assert found == {
        "photos": (32, 32, 3),
        "photos-apart": (24, 32),
        "scans": (28, 20),
        "keras-mnist": (28, 20),
        "fashion": (28, 20),
        "faces": (28, 20),
        "sklearn-digits": (28, 20),
        "rows": (32, 32, 3),
    }


@pytest.fixture(scope="module", params=["without labels", "with labels"])
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """The page's profile, all of whose runs are trained and evaluated."""
    with contextlib.chdir(tmp_path_factory.mktemp("own")):
        pictures(Path("pictures"))
        Path("mine.yaml").write_text(PROFILE)
        Path("tiny.yaml").write_text(TINY)
        labels = "datasets: {mine: {size: [28, 20], labels: folders}}"
        Path("labels.yaml").write_text(labels if request.param == "with labels" else "{}")
        names = ["mine.yaml", "tiny.yaml", "labels.yaml"]
        options = [part for name in names for part in ("--config", name)]
        cli = import_module("rungs.cli").cli
        assert CliRunner().invoke(cli, ["prepare", "mine", *options]).exit_code == 0
        config = configuration.load(names)
        if request.param == "with labels":
            short_classifier()
        layout = Layout("mine")
        for run in all_runs(config):
            work.train_runs(config, {run: Path(layout.run(run))})
            work.evaluate_run(config, run, Path(layout.run(run)))
        yield config


def short_classifier() -> None:
    """Train the classifier for a few steps only."""
    from rungs.evaluation import classifier

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 3)
        classifier.train(Path(Layout.data("mine")), Path(Layout.classifier("mine")))


@pytest.mark.parametrize(
    "figure",
    [
        *("ladder_pca", "ladder_samples", "ladder_reconstructions"),
        *("mixture_samples", "mixture_components", "latent_dimension", "latent_scatter"),
        *("vae_samples", "vae_manifold", "latent_traversal", "autoencoder_identity"),
    ],
)
def test_figures_are_drawn(finished: dict[str, Any], figure: str, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    entry, settings = FIGURES[figure], finished["figures"][figure]
    files = {
        kind: [Path(path) for path in paths]
        for kind, paths in inputs(finished, entry.needs, entry.document, settings).items()
    }
    assert files["evaluation"]
    drawn = import_module(entry.module).draw(files, settings)
    texts = " ".join(text.get_text() for text in drawn.findobj(lambda a: hasattr(a, "get_text")))
    assert "none of the runs" not in texts
    labelled = catalogue(finished)["mine"].labelled
    if figure in ("ladder_pca", "mixture_components", "mixture_samples", "vae_samples"):
        assert ("no labels" in texts) == (not labelled)
    if figure in ("ladder_pca", "mixture_components", "latent_scatter") and labelled:
        assert "class0" in texts
        assert "class1" in texts
    drawn.savefig(tmp_path / "figure.png", dpi=20)
    plt.close(drawn)


def test_tables_are_made(finished: dict[str, Any]) -> None:
    made = {}
    for table, entry in TABLES.items():
        if table in ("vq", "compute"):
            continue
        files = {
            kind: [Path(path) for path in paths]
            for kind, paths in inputs(finished, entry.needs).items()
        }
        made[table] = import_module(entry.module).make(files)
    labelled = catalogue(finished)["mine"].labelled
    assert set(made["loglik"]["dataset"]) == {"mine"}
    assert (made["autoencoder"]["variant"] == "ae").any()
    assert bool(len(made["linear_probe"])) == labelled
    assert made["perplexity"]["frechet"].notna().any() == labelled
    claims = made["claims"]
    assert (claims["dataset"] == "mine").any()
    if not labelled:
        assert claims["basis"].str.contains("needs labels").any()


def test_the_workflow_knows_when_images_change(tmp_path: Path) -> None:
    clone = copy_workflow(tmp_path)
    pictures(clone / "pictures")
    (clone / "mine.yaml").write_text(PROFILE)
    plan = run_snakemake(clone, "all", "--dry-run", "--configfile", "mine.yaml")
    assert plan.returncode == 0, plan.stderr
    assert "rule train:" in plan.stdout
    assert "rule classifier:" not in plan.stdout
    small = merge(yaml.safe_load(PROFILE), yaml.safe_load(TINY))
    (clone / "one.yaml").write_text(yaml.safe_dump(small | {"experiments": ONE_RUN}))
    table = "results/mine/tables/loglik.csv"
    files = ["--configfile", "one.yaml"]
    done = run_snakemake(clone, table, *files)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = csv.DictReader((clone / table).open())
    assert row["run"] == Run("mine", "vae", 2, 0).path
    # whatever jobs need is in the frozen configuration: the images may be elsewhere by then
    (clone / "pictures").rename(clone / "moved")
    missing = run_snakemake(clone, table, "--dry-run", *files)
    assert "datasets.mine.images: pictures cannot be read" in missing.stdout + missing.stderr
    assert "Traceback" not in missing.stdout + missing.stderr
    # a copy has the same content and other times
    shutil.copytree(clone / "moved", clone / "pictures", copy_function=shutil.copyfile)
    assert "Nothing to be done" in run_snakemake(clone, table, *files).stderr
    pictures(clone / "pictures", count=61)
    stale = run_snakemake(clone, table, "--dry-run", *files).stdout
    assert re.findall(r"^(?:local)?rule (\w+):", stale, re.M) == [
        *("prepare", "train", "evaluate", "table"),
    ]
