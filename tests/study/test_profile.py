"""Configuration: layers, errors that name the key, and what each run rests on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from rungs.errors import ConfigError
from rungs.figures import FIGURES, settings_of
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.layers import read_file
from rungs.study.runs import Run, parent_of, runs
from rungs.study.settings import evaluation_settings, resolve
from rungs.study.validation import validate


def changed(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    new = copy.deepcopy(config)
    *parents, last = path.split(".")
    here = new
    for parent in parents:
        here = here[int(parent)] if isinstance(here, list) else here[parent]
    here[last] = value
    return new


@pytest.mark.parametrize("profile", ["smoke", "quick", "desktop", "paper"])
def test_the_profiles_are_valid(profile: str) -> None:
    config = configuration.load([ROOT / "config" / f"{profile}.yaml"])
    assert config["profile"] == profile
    for run in runs(config):
        assert Run.parse(run.path) == run
        assert resolve(config, run)["training"]["epochs"] >= 1


MISTAKES = [
    ("training.epoch", 3, "training: unknown key 'epoch'; did you mean 'epochs'"),
    ("trainning", {}, "unknown key 'trainning'; did you mean 'training'"),
    ("training.epochs", "many", 'training.epochs: found "many"'),
    ("training.epochs", 0, "training.epochs: found 0"),
    ("training.learning_rate", -1, "training.learning_rate: found -1"),
    ("training.warm_up", 1, "training.warm_up: found 1"),
    ("evaluation.samples", 1.5, "evaluation.samples: found 1.5"),
    ("profile", "../elsewhere", "profile: found"),
    ("profile", "a b; rm -rf", "profile: found"),
    (
        "variants.vae.model",
        "vea",
        "variants.vae.model: model 'vea' is not known; did you mean 'vae'",
    ),
    ("experiments.ladder.0.variants", ["vae-bm"], "variant 'vae-bm' is not known; did you mean"),
    ("experiments.ladder.0.datasets", ["mnist5"], "data set 'mnist5' is not known; did you mean"),
    ("network.latent_sizes", [3], "depth 5 needs as many"),
    ("network.latent_sizes", {"first": 8}, "network.latent_sizes: found"),
    ("variants.lvae-bn-wu.continues", "lvae-bn-wu-iw10", "a variant continues another"),
    ("variants.lvae-bn-wu-ft.continues", "vae", "a variant continues another of the same model"),
    ("variants.lvae-bn-wu-ft.continues", "lvae-bn-w", "variant 'lvae-bn-w' is not known; did you"),
    ("experiments.ladder.0.dephts", [3], "unknown key 'dephts'; did you mean 'depths'"),
    ("figures.ladder_logik", {}, "figure 'ladder_logik' is not known; did you mean"),
    ("network.upward", "mean", "network.upward: found"),
    ("variants.a/b", {"model": "vae"}, "is not a valid name"),
    ("variants.vae.options", {"beta": 4.0}, "the model vae has no options of its own"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_a_mistake_is_named(
    smoke_config: dict[str, Any], path: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(changed(smoke_config, path, value))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_figure_without_settings_is_named(smoke_config: dict[str, Any]) -> None:
    config = copy.deepcopy(smoke_config)
    del config["figures"]["ladder_loglik"]
    validate(config)
    with pytest.raises(ConfigError, match=r"figures\.ladder_loglik is missing.*common\.yaml"):
        settings_of(config, "ladder_loglik")


def test_every_figure_has_settings(smoke_config: dict[str, Any]) -> None:
    assert smoke_config["figures"].keys() == FIGURES.keys()


def test_a_missing_section_is_named(smoke_config: dict[str, Any]) -> None:
    config = copy.deepcopy(smoke_config)
    del config["training"]
    with pytest.raises(ConfigError, match="'training' is missing"):
        validate(config)


@pytest.mark.parametrize("content", ["a: [", "- 1\n- 2", "", "\x00", "a: &a [*a]"])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"mine\.yaml|unknown key|cyclic"):
        configuration.load([path])


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


def test_freezing_is_named_by_content(smoke_config: dict[str, Any], tmp_path: Path) -> None:
    path = configuration.freeze(smoke_config, tmp_path)
    assert configuration.freeze(smoke_config, tmp_path) == path
    assert configuration.load([path]) == smoke_config
    assert configuration.freeze(changed(smoke_config, "training.epochs", 5), tmp_path) != path


@pytest.mark.parametrize("path", ["", "mnist5k/vae", "../x/depth1/seed0", "a/b/depth-1/seed0"])
def test_a_wrong_run_is_named(path: str) -> None:
    with pytest.raises(ConfigError, match="expected dataset/variant"):
        Run.parse(path)


def test_the_environment_variable_wins(
    smoke_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(smoke_config, "raw_data", "/somewhere")
    monkeypatch.delenv(configuration.RAW_DATA_VARIABLE, raising=False)
    assert configuration.raw_data(config) == Path("/somewhere")
    monkeypatch.setenv(configuration.RAW_DATA_VARIABLE, "/elsewhere")
    assert configuration.raw_data(config) == Path("/elsewhere")
    monkeypatch.delenv(configuration.RAW_DATA_VARIABLE)
    assert configuration.raw_data(smoke_config) is None


def test_a_frozen_configuration_keeps_small_numbers(tmp_path: Path) -> None:
    """YAML takes JSON's 1e-08 for a string."""
    frozen = configuration.freeze(configuration.load([ROOT / "config" / "quick.yaml"]), tmp_path)
    found = configuration.load([frozen])
    assert found["variants"]["vq"]["training"]["adam_epsilon"] == 1e-8


def test_a_key_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("profile: a\nnetwork: {batch_norm: true}\nnetwork: {upward: mu}\n")
    with pytest.raises(ConfigError, match="'network' is there twice"):
        read_file(path)
