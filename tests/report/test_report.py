"""The scorecard, published numbers, and verdicts of other seeds."""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path
from typing import Any

import pytest

from rungs.claims import claims, published
from rungs.claims.stated import stated
from rungs.figures import FIGURES
from rungs.paths import ROOT
from rungs.report import scorecard, seeds
from rungs.report.claims import count
from rungs.report.seeds import compare
from rungs.study import profile
from rungs.study.documents import DOCUMENTS
from rungs.study.runs import Run, all_runs
from rungs.study.settings import resolve
from rungs.tables import TABLES

ENTRIES = {**FIGURES, **TABLES}
SIZES = {"desktop": (1400, 900), "phone": (390, 844)}
#: where screenshots are kept, to be looked at; by default the test's own folder
SCREENSHOTS = "RUNGS_SCREENSHOTS"
LARGEST = 25e6
BY_NAME = {claim.name: claim for claim in claims()}
LADDER_NETWORKS = {
    "depth": 5,
    "network": {"latent_sizes": [64, 32, 16, 8, 4], "hidden_sizes": [512, 256, 128, 64, 32]},
}


def row(**changes: str) -> scorecard.Row:
    """A row of the table of claims."""
    made = {
        "claim": "ladder.2",
        "document": "ladder",
        "dataset": "mnist",
        "statement": "Batch norm improves <the VAE> | deep",
        "part": "",
        "unit": "",
        "measured": "",
        "relation": "",
        "margin": "",
        "low": "",
        "high": "",
        "drift": "",
        "gap": "",
        "seeds": "3",
        "verdict": "reproduced",
        "leaning": "",
        "basis": "3 seeds",
        "sizes": "",
        "reason": "",
        "published": "",
        "published_basis": "",
        "runs": "a b",
    }
    return made | changes


def part(**changes: str) -> scorecard.Row:
    """A row of a part."""
    made = {
        "part": "gain",
        "statement": "L_k of VAE+BN less L_k of VAE | nats",
        "unit": "nats",
        "measured": "2.4171",
        "relation": ">",
        "margin": "0.2",
        "low": "2.209",
        "high": "2.631",
        "drift": "-0.12",
        "gap": "0.0",
        "sizes": "depth 5",
        "reason": "what another seed <changes>",
    }
    return row(**made | changes)


ORIGIN = scorecard.Origin("small", 2, ["mnist/vae/depth5/seed0"], ["abc"], ["one"])
LACKING = row(claim="vq.1", document="vq", basis="the profile lacks runs: vq", verdict="undecided")


# What is said.


def test_every_figure_and_table_has_a_caption_and_a_known_document() -> None:
    assert not FIGURES.keys() & TABLES.keys()
    for name, entry in ENTRIES.items():
        assert len(entry.look_for.split()) > 8, name
        assert entry.document is None or entry.document in DOCUMENTS, name


def test_every_claim_points_to_evidence_that_there_is() -> None:
    for claim in claims():
        assert claim.evidence, claim.name
        assert set(claim.evidence) <= ENTRIES.keys(), claim.name


def of(claim: str, **runs: dict[str, Any]) -> tuple[float, str]:
    (found,) = BY_NAME[claim].parts
    return stated(found, runs)


def settings(variant: str, depth: int = 5, **changes: Any) -> dict[str, Any]:
    run = {"dataset": "omniglot", "variant": variant, "depth": depth}
    return LADDER_NETWORKS | run | changes


def test_published_numbers_stand_beside_the_same_data_and_networks_only() -> None:
    runs = {"new": settings("vae-bn"), "old": settings("vae")}
    found, said = of("ladder.2", **runs)
    assert found == pytest.approx(110.46 - 105.45)
    assert said == "L5000 of Sonderby et al. 2016; recalled"
    assert of("ladder.1", new=settings("vae"), old=settings("vae", 2))[0] == pytest.approx(0.12)
    small = {"latent_sizes": [8] * 5, "hidden_sizes": [8] * 5}
    for other in ({"network": small}, {"dataset": "mnist5k"}, {"dataset": "mnist"}, {"depth": 10}):
        value, said = of("ladder.2", **runs | {"new": settings("vae-bn", **other)})
        assert math.isnan(value)
        assert said == ""
    assert math.isnan(of("ladder.2")[0])


def test_nothing_is_published_where_the_document_states_no_number() -> None:
    for name in ("ladder.7", "mixture.1", "moments.3", "vq.3"):
        run = settings("vae")
        assert math.isnan(of(name, new=run, old=run, vae=run, vq=run)[0])


def test_every_published_number_has_its_source() -> None:
    for number in published.rows():
        for column in (
            "document",
            "dataset",
            "model",
            "metric",
            "value",
            "citation",
            "url",
            "where",
        ):
            assert number[column], number
        assert number["checked"] in ("listing", "recalled", "second hand"), number
        assert number["how"], number
        assert number["url"].startswith("https://"), number
        assert number["binarisation"] in ("dynamic", "static", ""), number
        assert (number["binarisation"] == "") == (number["dataset"] == "cifar10"), number


def test_runs_of_another_recipe_or_binarisation_have_no_published_number() -> None:
    run = settings("lvae-bn-wu", dataset="mnist")
    assert published.beside(run, "L5000")["published"] == -82.12
    for variant in ("lvae-bn-wu-ft", "lvae-bn-wu-iw10", "gauss", "vamp"):
        other = published.beside(run | {"variant": variant}, "L5000")
        assert math.isnan(other["published"])


def test_importance_weighted_autoencoders_stand_beside_their_own_numbers() -> None:
    """Burda et al. 2016, table 1, on MNIST that is binarised anew every epoch."""
    config = profile.load([ROOT / "config" / "iwae.yaml"])
    found = {}
    for run in all_runs(config):
        own = resolve(config, run)
        found[run.variant] = published.beside(own, "L5000")["published"]
        small: Any = copy.deepcopy(own)
        small["network"]["hidden_sizes"][0] = 100
        assert math.isnan(published.beside(small, "L5000")["published"])
        leaky: Any = copy.deepcopy(own)
        leaky["network"]["activation"] = "leaky"
        assert math.isnan(published.beside(leaky, "L5000")["published"])
    assert found == {
        **{"iwae-k1": -86.76, "iwae-k5": -85.54, "iwae-k50": -84.78},
        **{"iwae2-k1": -85.33, "iwae2-k5": -83.89, "iwae2-k50": -82.9},
    }


def test_a_vampprior_stands_beside_the_release_with_its_networks_only() -> None:
    config = profile.load([ROOT / "config" / "quick.yaml"])
    numbers = {"gauss-release": -84.45, "vamp-release": -82.43}
    for variant, value in numbers.items():
        own: Any = resolve(config, Run("mnist", variant, 40, 0, "latent"))
        assert published.beside(own, "L5000")["published"] == value
        own = resolve(config, Run("mnist", variant, 10, 0, "latent"))
        assert math.isnan(published.beside(own, "L5000")["published"])
    own = resolve(config, Run("mnist", "vamp", 40, 0, "latent"))
    assert math.isnan(published.beside(own, "L5000")["published"])


def test_the_scorecard_in_plain_text() -> None:
    text = scorecard.to_text([row(), part(), LACKING])
    first, second = [line for line in text.splitlines() if line[:2] in ("la", "  ")]
    assert re.search(r"ladder.2 +mnist +reproduced +Batch norm", first)
    assert re.search(
        r"gain +2.42 \[2.21, 2.63\] nats +> 0.2 +depth 5; drift -0.120; 3 seeds", second
    )
    assert "no runs here for vq.1" in text
    assert "Claims: 1 reproduced, 0 not reproduced, 0 undecided" in text


def test_a_leaning_is_not_counted_as_a_verdict() -> None:
    leaning = {"verdict": "undecided", "leaning": "for", "basis": "1 seed", "seeds": "1"}
    rows = [row(**leaning), part(**leaning)]
    counted = "0 reproduced, 0 not reproduced, 1 undecided"
    assert count(rows) == counted
    text = scorecard.to_text(rows)
    assert counted in text
    assert "undecided, leaning for" in text
    assert counted in scorecard.to_markdown(rows, ORIGIN)


def test_the_scorecard_as_markdown() -> None:
    text = scorecard.to_markdown([row(), part(), LACKING], ORIGIN)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", line) for line in lines]
    assert {len(each) for each in cells} == {13}
    claim, found = ([cell.strip() for cell in each] for each in cells[-2:])
    assert (claim[1], claim[10]) == ("**ladder.2**", "**reproduced**")
    assert found[4:9] == ["2.42", "[2.21, 2.63]", "nats", "> 0.2", "-0.120"]
    assert "1 reproduced, 0 not reproduced, 0 undecided" in text
    assert "2 runs, 1 of them not converged" in text


def test_verdicts_of_other_seeds_stand_side_by_side() -> None:
    ours = [row(), part()]
    other = [row(verdict="undecided"), part(verdict="undecided", measured="0.3")]
    third = [row(verdict="not reproduced"), part(verdict="not reproduced")]
    found = compare({"quick": ours, "seeds 3, 4, 5": other})
    assert not found.flipped
    assert found.moved == [("ladder.2", "", "mnist"), ("ladder.2", "gain", "mnist")]
    text = seeds.to_markdown(found)
    assert re.search(
        r"ladder.2 +\| gain +\| mnist +\| reproduced \(2.42\) +\| undecided \(0.300\)", text
    )
    assert "Between reproduced and not reproduced: 0." in text
    assert "To or from undecided: 2 (ladder.2, ladder.2 gain)." in text
    found = compare({"quick": ours, "seeds 3, 4, 5": other, "seeds 6, 7, 8": third})
    assert len(found.flipped) == 2
    assert not found.moved


# What the workflow made.


def test_the_scorecard_is_printed_at_the_end(tiny_workflow: Path) -> None:
    printed = (tiny_workflow / "printed.txt").read_text()
    end = printed[printed.index("Claims: ") :]
    assert re.search(r"ladder\.5 +mnist5k .*undecided", end)
    assert "results/tiny/report.html" in end
    page = (tiny_workflow / "clone/results/tiny/scorecard.md").read_text()
    assert "| **ladder.5** | mnist5k |" in page
    assert "2 runs, 2 of them not converged" in page
