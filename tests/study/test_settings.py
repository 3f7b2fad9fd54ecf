"""The settings of a run: their layers, and what they depend on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from conftest import changed
from rungs.errors import ConfigError
from rungs.storage.result_file import Stored
from rungs.study.layers import read_file
from rungs.study.runs import Run, all_runs, parent_of
from rungs.study.settings import (
    EvaluationSettings,
    NetworkSettings,
    PriorSettings,
    RunSettings,
    TrainingSettings,
    code_prior_settings,
    evaluation_settings,
    resolve,
    run_of,
    settings_of,
)
from rungs.study.validation import SCHEMA


def test_layers(smoke_config: dict[str, Any]) -> None:
    """Profile, then data set, then variant; lists are replaced, not merged."""
    config = copy.deepcopy(smoke_config)
    config["datasets"] = {"mnist5k": {"training": {"epochs": 7, "batch_size": 64}}}
    config["variants"]["vae"] = {"model": "vae", "training": {"epochs": 9}}
    training = resolve(config, Run("mnist5k", "vae", 1, 0))["training"]
    assert (training["epochs"], training["batch_size"]) == (9, 64)
    assert resolve(config, Run("mnist5k", "lvae-bn-wu", 1, 0))["training"]["epochs"] == 7


def test_a_run_rests_only_on_what_concerns_it(smoke_config: dict[str, Any]) -> None:
    """Evaluation, figures, the ladder's own switches and other variants leave a VAE fresh."""
    run = Run("mnist5k", "vae", 2, 0)
    before = resolve(smoke_config, run)
    for path, value in [
        ("evaluation.samples", 77),
        ("network.upward", "hidden"),
        ("compute.checkpoint_minutes", 1),
        ("compute.tensorboard", True),
        ("figures.ladder_loglik", {"width": 3}),
        ("variants.lvae-bn-wu", {"model": "lvae"}),
    ]:
        assert resolve(changed(smoke_config, path, value), run) == before
    after = resolve(changed(smoke_config, "training.epochs", 5), run)
    assert after != before


def test_a_continued_run_rests_on_its_parent(smoke_config: dict[str, Any]) -> None:
    run = Run("mnist5k", "lvae-bn-wu-iw10", 2, 0)
    parent = parent_of(smoke_config, run)
    assert parent == Run("mnist5k", "lvae-bn-wu", 2, 0)
    settings = resolve(smoke_config, run)
    assert settings["continues"] == resolve(smoke_config, parent)
    changed_parent = changed(smoke_config, "variants.lvae-bn-wu.training", {"warm_up": False})
    assert resolve(changed_parent, run) != settings


def test_longer_lists_leave_shallow_runs_fresh(smoke_config: dict[str, Any]) -> None:
    run = Run("mnist5k", "vae", 2, 0)
    short = changed(smoke_config, "network.latent_sizes", [8, 4])
    rule = changed(smoke_config, "network.latent_sizes", {"first": 8, "ratio": 0.5, "least": 1})
    long = changed(smoke_config, "network.latent_sizes", [8, 4, 2, 2, 2])
    all_settings = [resolve(config, run) for config in (short, rule, long)]
    assert all_settings[0] == all_settings[1] == all_settings[2]


@pytest.mark.parametrize("path", ["mnist5k/vea/depth2/seed0", "mnist6k/vae/depth2/seed0"])
def test_a_run_that_cannot_be_is_named(smoke_config: dict[str, Any], path: str) -> None:
    for question in (resolve, evaluation_settings):
        with pytest.raises(ConfigError, match="is not known; did you mean"):
            question(smoke_config, Run.parse(path))


def test_the_types_have_the_keys_of_the_schema() -> None:
    """Those of a network are more: some come from the run or the data, not from the configuration."""
    sections = read_file(SCHEMA)["$defs"]
    for section, settings in {
        "training": TrainingSettings,
        "evaluation": EvaluationSettings,
        "prior": PriorSettings,
    }.items():
        keys = set(settings.__annotations__) - ({"prior"} if section == "evaluation" else set())
        assert keys == set(sections[section]["properties"])
    network = set(NetworkSettings.__annotations__)
    assert network > set(sections["network"]["properties"])
    assert network > set(sections["prior"]["properties"]["network"]["properties"])


def test_a_run_has_the_keys_of_its_type(smoke_config: dict[str, Any]) -> None:
    optional = {"shape", "inverted"}
    for run in all_runs(smoke_config):
        found = [resolve(smoke_config, run), code_prior_settings(smoke_config, run)]
        for settings in filter(None, found):
            assert set(settings) | optional == set(RunSettings.__annotations__)
            assert set(settings["network"]) <= set(NetworkSettings.__annotations__)


def test_a_result_tells_its_run(smoke_config: dict[str, Any]) -> None:
    for run in all_runs(smoke_config):
        settings = resolve(smoke_config, run)
        result = Stored(Path("training.h5"), {}, {"run": settings})
        assert run_of(result) == run
        assert settings_of(result) == settings


@pytest.mark.parametrize(
    ("dataset", "variant", "images", "every", "found"),
    [
        ("mnist", "gauss", 10_000, 10, 10),
        ("mnist", "gauss", 10_000, 1, None),
        ("mnist", "gauss", 9999, 10, None),
        ("mnist", "gauss", 9999, 9, 9),
        ("mnist5k", "gauss", 10_000, 2, None),  # it has 1,000 test images
        ("mnist", "ae", 10_000, 10, None),  # no likelihood is sampled
    ],
)
def test_images_take_fewer_samples_only_where_enough_others_take_all(
    smoke_config: dict[str, Any], dataset: str, variant: str, images: int, every: int, found: Any
) -> None:
    config = copy.deepcopy(smoke_config)
    config["evaluation"] |= {"images": images, "refine_every": every}
    settings = evaluation_settings(config, Run(dataset, variant, 2, 0, "latent"))
    assert settings.get("refine_every") == found
