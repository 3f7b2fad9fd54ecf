"""A family of models that is added from outside: every room learns of it from the registry alone."""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import rungs
from rungs.errors import ConfigError
from rungs.exchange.archive import open_archive
from rungs.exchange.export import export_run
from rungs.exchange.recomputation import verify_run
from rungs.figures.pictures import prior_label
from rungs.jobs import cost
from rungs.jobs.work import evaluate_run, train_runs
from rungs.models import MODELS, Family, ModelEntry, Tolerance
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.study import keys
from rungs.study import profile as configuration
from rungs.study.layout import Layout
from rungs.study.runs import Run

RUN = Run.parse("mnist5k/absolute/latent3/seed0")
PROFILE = """
profile: added
experiments:
  vae:
    - {datasets: [mnist5k], variants: [absolute], latents: [3], seeds: [0]}
variants:
  absolute: {model: absolute}
training: {epochs: 3, learning_rate: 0.002}
evaluation: {images: 120, train_images: 60}
"""
ENTRY = ModelEntry(
    "new_family:AbsoluteAutoencoder",
    ("latent_sizes",),
    axis="latent",
    evaluator="new_family:AbsoluteEvaluator",
    verified={"absolute/error": Tolerance(0.01, "intensity")},
    cost="new_family:cost",
    sampled=False,
    family=Family("absolute", None, None, "none"),
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Iterator[dict[str, Any]]:
    """The profile of the new family, in whose folder the tests run, trained and evaluated."""
    with (
        contextlib.chdir(tmp_path_factory.mktemp("added")),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setitem(MODELS, "absolute", ENTRY)
        Path("added.yaml").write_text(PROFILE)
        data = Path(Layout.data("mnist5k"))
        data.parent.mkdir(parents=True)
        data.symlink_to(digits)
        config = configuration.load([ROOT / "config" / "smoke.yaml", "added.yaml"])
        config["experiments"] = {"vae": config["experiments"]["vae"]}
        configuration.freeze(config, "results/added/config")
        folder = Path(Layout("added").run(RUN))
        train_runs(config, {RUN: folder})
        evaluate_run(config, RUN, folder)
        yield config


@pytest.mark.usefixtures("config")
def test_it_is_trained_and_evaluated() -> None:
    folder = Path(Layout("added").run(RUN))
    history = result_file.read(folder / "training.h5")
    assert history["objective"][-1] > history["objective"][0]
    found = result_file.read(folder / "evaluation.h5")
    assert found["absolute/error"].shape == (120,)
    assert found["absolute/error"].mean() == pytest.approx(-history["objective"][-1], rel=0.2)
    assert found["pictures/samples"].shape == (100, 784)


def test_it_estimates_its_cost(config: dict[str, Any]) -> None:
    found = cost.estimate(config, RUN)
    assert found.training_seconds == pytest.approx(1e-3 * 4000 * 4)
    assert found.evaluation_seconds == pytest.approx(0.24)


def test_it_is_verified_and_exported(config: dict[str, Any], tmp_path: Path) -> None:
    data = Path(Layout.data("mnist5k"))
    (found,) = verify_run(Path(Layout("added").run(RUN)), data)
    assert (found.quantity, found.unit, found.images) == ("absolute/error", "intensity", 50)
    assert found.agrees
    path = export_run(config, RUN, tmp_path).path
    folder = open_archive(path)
    assert json.loads((folder / "run.json").read_text())["numbers"]["error"] > 0
    (again,) = verify_run(folder, data)
    assert again.agrees


@pytest.mark.usefixtures("config")
def test_the_python_interface_uses_it() -> None:
    run = rungs.load(str(Layout("added").run(RUN)))
    images = rungs.load_data("mnist5k").test_images[:5]
    (codes,) = run.encode(images)
    assert codes.shape == (5, 3)
    assert run.sample(4).shape == (4, 28, 28)
    np.testing.assert_array_equal(run.decode(codes), run.reconstruct(images))
    with pytest.raises(ConfigError, match="the model absolute has no likelihood"):
        run.log_likelihood(images)
    assert prior_label(run.settings) == "absolute, no prior"


def test_the_command_line_knows_it(config: dict[str, Any]) -> None:
    (profile,) = Path("results/added/config").glob("*.json")
    cli = importlib.import_module("rungs.cli").cli
    for words, expected in (
        (["list", "models"], "under the absolute error"),
        (["cost"], "core hours"),
        (["verify", Layout("added").run(RUN)], "absolute/error"),
    ):
        done = CliRunner().invoke(cli, [*words, "--config", str(profile)])
        assert (done.exit_code, expected in done.output) == (0, True), (words, done.output)


def test_its_code_is_in_its_keys_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "absolute", ENTRY)
    functions = keys.training_code, keys.evaluation_code
    before = [function(model) for function in functions for model in ("absolute", "autoencoder")]
    changed = keys._tree("new_family")[0] + " "
    monkeypatch.setattr(
        keys,
        "_tree",
        lambda name, tree=keys._tree: (
            (changed, tree(name)[1]) if name == "new_family" else tree(name)
        ),
    )
    for function in functions:
        function.cache_clear()
    after = [function(model) for function in functions for model in ("absolute", "autoencoder")]
    for function in functions:
        function.cache_clear()
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, False, True]
