"""Mistakes in a configuration: errors name the key."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from conftest import changed
from rungs.errors import ConfigError
from rungs.figures import FIGURES, figure_settings
from rungs.study.validation import validate

YES = "; YAML reads yes, no, on and off as true and false: put quotes around a text"
MISTAKES = [
    ("training.learning_rate", "1e-3", "; YAML reads '1e-3' as text: write 1.0e-3."),
    ("training.learning_rate", "1E-3", "write 1.0e-3."),
    ("training.learning_rate", "2.5e3", "write 2.5e+3."),
    ("training.learning_rate", "0.1", "; YAML reads '0.1' as text: write 0.1."),
    ("training.epochs", "1e2", "; YAML reads '1e2' as text: write 100."),
    ("training.epochs", "09", "write 9."),
    ("training.epochs", "1e-2", "training.epochs: found \"1e-2\": '1e-2' is not of type"),
    ("evaluation.samples", "nan", "evaluation.samples: found \"nan\": 'nan' is not of type"),
    ("profile", False, YES),
    ("profile", 2024, '; YAML reads a number: put quotes around a text ("2024").'),
    ("experiments.ladder.0.variants", [True], YES),
    ("variants.vae.model", False, YES),
    ("training.epoch", 3, "training: unknown key 'epoch'; did you mean 'epochs'"),
    ("trainning", {}, "unknown key 'trainning'; did you mean 'training'"),
    (
        "experiments.ladder.0.seeds",
        [0, 1, 0],
        "experiments.ladder[0].seeds: found [0, 1, 0]: 0 is there twice; leave one out.",
    ),
    (
        "figures.ladder_loglik.depths",
        [2, 2],
        "figures.ladder_loglik.depths: found [2, 2]: 2 is there",
    ),
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
        figure_settings(config, "ladder_loglik")


def test_every_figure_has_settings(smoke_config: dict[str, Any]) -> None:
    assert smoke_config["figures"].keys() == FIGURES.keys()


def test_a_missing_section_is_named(smoke_config: dict[str, Any]) -> None:
    config = copy.deepcopy(smoke_config)
    del config["training"]
    with pytest.raises(ConfigError, match="'training' is missing"):
        validate(config)


def test_experiments_without_runs(smoke_config: dict[str, Any]) -> None:
    nothing = smoke_config | {"experiments": {"ladder": [], "vae": []}}
    with pytest.raises(ConfigError, match="experiments: asks for no runs"):
        validate(nothing)
