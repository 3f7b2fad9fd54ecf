"""The page of what differs from the published protocols: nothing of it can go stale."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
from click.testing import CliRunner

from conftest import changed
from rungs.cli import cli
from rungs.models import entry, networks
from rungs.paths import ROOT
from rungs.report.protocol import (
    ABSENT,
    FILE,
    Comparison,
    compare,
    facts,
    look_up,
    page,
    protocols,
    published,
)
from rungs.study.layers import Config, merge, read_file
from rungs.study.profile import load
from rungs.study.runs import Run, runs

PAGE = ROOT / "docs" / "protocol.md"
REFERENCE = ROOT / "config" / "reference.yaml"
PROFILES = sorted(path.stem for path in (ROOT / "config").glob("*.yaml") if path.stem != "common")
CHECKED = {"text", "code", "second hand", "recalled"}


@cache
def config_of(profile: str) -> Config:
    # one profile is laid over the default one
    below = ["config"] if profile == "thorough" else []
    return load([ROOT / "config" / f"{name}.yaml" for name in [*below, profile]])


@cache
def compared(profile: str) -> list[Comparison]:
    return compare(config_of(profile))


def named_runs(text: str) -> set[str]:
    """The paths of the runs that a page names."""
    found = re.findall(r"`([\w/-]+)` (depth|latent|codes) ([\d, ]+) \(seeds? ([\d, ]+)\)", text)
    return {
        f"{name}/{axis}{size}/seed{seed}"
        for name, axis, sizes, seeds in found
        for size in sizes.split(", ")
        for seed in seeds.split(", ")
    }


# --- the committed page --------------------------------------------------------------------------


def test_the_page_is_what_the_verb_prints() -> None:
    done = CliRunner().invoke(cli, ["protocol", "--config", str(REFERENCE)])
    written = PAGE.read_text(encoding="utf-8")
    command = "rungs protocol --config config/reference.yaml > docs/protocol.md"
    assert done.output == written, f"write it again: {command}"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_run_is_compared_and_named(profile: str) -> None:
    config = config_of(profile)
    assert [each.run.path for each in compared(profile) if not each.protocol] == []
    asked = {run.path for run in runs(config)}
    assert {each.run.path for each in compared(profile)} == asked
    assert named_runs(page(config)) == asked


def test_json_says_the_same() -> None:
    done = CliRunner().invoke(cli, ["protocol", "--json", "--config", str(REFERENCE)])
    rows = {(row["document"], row["run"]): row for row in json.loads(done.output)}
    assert len(rows) == len(compared("reference"))
    row = rows["ladder", "mnist/lvae-bn-wu/depth5/seed1"]
    assert row["protocol"] == "ladder"
    assert row["differences"]["training.epochs"] == {"published": 2000, "here": 500}
    for each in compared("reference"):
        differences = rows[each.document, each.run.path]["differences"]
        assert list(differences) == [one.setting for one in each.differences]


# --- the comparison ------------------------------------------------------------------------------

#: the ladder's paper, setting by setting, in a profile's own words
PUBLISHED: Config = {
    "profile": "published",
    "experiments": {
        "ladder": [
            {"datasets": ["mnist"], "variants": ["lvae-bn-wu"], "depths": [3, 5], "seeds": [0]}
        ]
    },
    "network": {"upward": "hidden", "share_top_down": True},
    "training": {"epochs": 2000, "continuation": 0.0, "annealing": 0.0, "warm_up_epochs": 200},
    "evaluation": {"samples": 5000, "images": 10000},
    "compute": {"precision": "float32"},
}


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Config:
    """A profile that is as published, with the paper's rectifiers, which no setting gives."""
    monkeypatch.setattr(networks, "SLOPE", 0.1)
    return merge(read_file(ROOT / "config" / "common.yaml"), PUBLISHED)


def test_a_run_as_published_shows_no_difference(exact: Config) -> None:
    assert [each.differences for each in compare(exact)] == [(), ()]
    assert "`mnist/lvae-bn-wu` depth 3, 5 (seed 0) | nothing that is stated |" in page(exact)


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("training.epochs", 1999, "`training.epochs` 2,000 → 1,999"),
        ("training.batch_size", 255, "`training.batch_size` 256 → 255"),
        ("training.learning_rate", 0.0002, "`training.learning_rate` 0.001 → 0.0002"),
        ("training.stages", {"number": 2}, "`training.stages` none → number 2"),
        ("training.importance_samples", 2, "`training.importance_samples` 1 → 2"),
        ("network.hidden_sizes", [8] * 5, "`network.hidden_sizes` 512, 256, 128 → 8, 8, 8"),
        ("variants.lvae-bn-wu.model", "vae", "`model` lvae → vae"),
        ("variants.lvae-bn-wu.network.batch_norm", False, "`network.batch_norm` yes → no"),
        ("variants.lvae-bn-wu.training.warm_up", False, "`training.warm_up` yes → no"),
        ("evaluation.images", 1000, "`evaluation.images` 10,000 → 1,000"),
        ("evaluation.refine_every", 10, "`evaluation.refine_every` 1 → 10"),
        ("compute.precision", "bfloat16", "`precision` float32 → bfloat16"),
    ],
)
def test_one_changed_setting_is_one_difference(
    exact: Config, path: str, value: Any, shown: str
) -> None:
    of_three, of_five = (each.differences for each in compare(changed(exact, path, value)))
    assert [str(one) for one in of_three] == [shown]
    assert [one.setting for one in of_five] == [of_three[0].setting]


def test_sizes_beyond_those_of_a_run_do_not_count(exact: Config) -> None:
    found = compare(changed(exact, "network.latent_sizes", [64, 32, 16, 8, 5]))
    assert [[str(one) for one in each.differences] for each in found] == [
        [],
        ["`network.latent_sizes` 64, 32, 16, 8, 4 → 64, 32, 16, 8, 5"],
    ]


def test_what_all_runs_of_a_protocol_share_is_said_once(exact: Config) -> None:
    text = page(changed(exact, "training.epochs", 7))
    assert text.count("2,000 → 7") == 1


def test_fewer_images_than_asked_for_are_what_there_is() -> None:
    here = facts(config_of("reference"), Run("omniglot28", "vae", 5, 0))
    assert look_up(here, "evaluation.images") == 8115
    assert look_up(here, "training.steps") == 500 * (24345 // 256)
    assert look_up(here, "network.upward") is ABSENT


def test_a_variant_of_ones_own_is_named_as_such(exact: Config) -> None:
    own = merge(exact, {"variants": {"mine": exact["variants"]["vae"]}})
    own["experiments"]["ladder"][0] |= {"variants": ["mine"], "depths": [2]}
    assert "## Without a published protocol\n\n`mnist/mine` depth 2 (seed 0)\n" in page(own)


# --- the file of published settings --------------------------------------------------------------


@pytest.mark.parametrize("name", protocols())
def test_every_setting_is_one_that_some_variant_has(name: str) -> None:
    """A misspelt setting would be compared with nothing."""
    protocol, config = protocols()[name], config_of("reference")
    dataset = protocol.get("datasets", ["mnist"])[0]
    here: list[tuple[str, Config]] = []
    for variant in protocol["variants"]:
        axis = entry(config["variants"][variant]["model"]).axis
        here.append((variant, facts(config, Run(dataset, variant, 2, 0, axis))))
    seen = {
        key
        for variant, found in here
        for key in published(protocol, variant)
        if look_up(found, key) is not ABSENT
    }
    own = {key for settings in protocol["variants"].values() for key in settings}
    assert {*protocol["own"], *own} <= seen
    for setting in (key for key in protocol["not_stated"] if " " not in key):
        assert any(look_up(found, setting) is not ABSENT for _, found in here), setting


def test_sources_are_stated_and_used() -> None:
    sources = read_file(FILE)["sources"]
    used = {by for protocol in protocols().values() for _, by in protocol["settings"].values()}
    used |= {protocol.get("variants_from") for protocol in protocols().values()} - {None}
    assert used == {*sources}
    for source in sources.values():
        assert {*source} == {"cites", "checked", "how"}
        assert source["checked"] in CHECKED
    for protocol in protocols().values():
        own = {key for settings in protocol["variants"].values() for key in settings}
        assert {*protocol["elsewhere"]} <= {*protocol["settings"], *own}
        assert not {*protocol["not_stated"]} & {*protocol["settings"], *own}
