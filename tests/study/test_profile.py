"""Profiles: loaded, frozen, and where their raw data lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conftest import changed
from rungs.errors import ConfigError
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.runs import Run, runs
from rungs.study.settings import resolve


@pytest.mark.parametrize("profile", ["smoke", "quick", "desktop", "paper", "reference"])
def test_the_profiles_are_valid(profile: str) -> None:
    config = configuration.load([ROOT / "config" / f"{profile}.yaml"])
    assert config["profile"] == profile
    for run in runs(config):
        assert Run.parse(run.path) == run
        assert resolve(config, run)["training"]["epochs"] >= 1


def test_the_blocks_of_the_reference_profile_are_its_runs() -> None:
    """Each is laid over the profile, changes no setting, and asks for none but its runs."""
    whole = ROOT / "config" / "reference.yaml"
    config = configuration.load([whole])
    found: set[Run] = set()
    for block in sorted(whole.with_suffix("").glob("*.yaml")):
        laid = configuration.load([whole, block])
        found |= set(runs(laid))
        assert {**laid, "experiments": None} == {**config, "experiments": None}, block.name
    assert found == set(runs(config))


@pytest.mark.parametrize("content", ["a: [", "- 1\n- 2", "", "\x00", "a: &a [*a]"])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"mine\.yaml|unknown key|cyclic"):
        configuration.load([path])


def test_freezing_is_named_by_content(smoke_config: dict[str, Any], tmp_path: Path) -> None:
    path = configuration.freeze(smoke_config, tmp_path)
    assert configuration.freeze(smoke_config, tmp_path) == path
    assert configuration.load([path]) == smoke_config
    assert configuration.freeze(changed(smoke_config, "training.epochs", 5), tmp_path) != path


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
