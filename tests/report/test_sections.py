"""The report of profiles that have runs of some documents only: all that is counted is shown, and every
link leads somewhere."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import made_profile
import pandas as pd
import pytest
import yaml
from pages import Read, read
from PIL import Image, PngImagePlugin

from conftest import TINY
from rungs.claims.core import VERDICTS
from rungs.figures import BLANK, FIGURES, figure_settings
from rungs.report import explorer, gallery, page
from rungs.report.claims import claim_rows, read_claims
from rungs.storage.atomic import write_text
from rungs.study import profile
from rungs.study.documents import DOCUMENTS
from rungs.study.layers import Config
from rungs.study.layout import Layout, inputs
from rungs.study.runs import shown_runs
from rungs.tables import TABLES, claims, save

GRIDS: dict[str, Any] = {
    "ladder": {"variants": ["vae", "lvae-bn-wu"], "depths": [2, 5]},
    "mixture": {"variants": ["gauss", "mog"], "latents": [2, 10]},
    "vq": {"variants": ["vq"], "codes": [16]},
    "vae": {"variants": ["ae"], "latents": [2, 10]},
    "moments": {"variants": ["gauss", "gauss-affine"], "latents": [10]},
}
SUBSETS = [subset for count in range(1, len(GRIDS) + 1) for subset in combinations(GRIDS, count)]


def make(folder: Path, sections: tuple[str, ...]) -> Config:
    """Make results of a profile with some sections in the working directory; return its configuration.

    Its claims are those of the rule, from runs that hold nothing; a figure is a dot where it has runs.
    """
    asked = yaml.safe_load(TINY)
    common = {"datasets": ["mnist5k"], "seeds": [0]}
    asked["experiments"] = {name: [common | GRIDS[name]] for name in sections}
    (folder / "some.yaml").write_text(yaml.safe_dump(asked))
    config = profile.load([folder / "some.yaml"])
    layout = Layout(config["profile"])
    made_profile.store(config)
    said = PngImagePlugin.PngInfo()
    said.add_text("Description", BLANK)
    dot = Image.new("RGB", (2, 2))
    for name, entry in FIGURES.items():
        path = Path(layout.figure(name, ".png"))
        path.parent.mkdir(exist_ok=True)
        shown = shown_runs(config, entry.document, figure_settings(config, name))
        dot.save(path, pnginfo=None if shown else said)
    files = inputs(config, TABLES["claims"].needs)
    tables = {name: pd.DataFrame(columns=["run"]) for name in TABLES}
    tables["claims"] = claims.make({kind: list(map(Path, found)) for kind, found in files.items()})
    tables["compute"] = pd.DataFrame(
        {"run": ["a"], "rule": ["training"], "seconds": [396.0], "threads": [1]}
        | {"peak_memory_mb": [100.0]}
    )
    for name, table in tables.items():
        Path(layout.table(name, "")).parent.mkdir(exist_ok=True)
        save(table, Path(layout.table(name, "")))
    write_text(layout.explorer, json.dumps({name: [] for name in explorer.EXPLORED}))
    return config


def listed(found: Read) -> set[str]:
    """The addresses of the claims that a page lists."""
    names = {claim.name for claim in claims.claims()}
    return {each for each in found.ids if each.rpartition("-")[0] in names}


@pytest.mark.parametrize("sections", SUBSETS, ids="+".join)
def test_every_claim_that_is_counted_is_shown_and_every_link_leads_somewhere(
    sections: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = make(tmp_path, sections)
    content = page.content(config)
    found = read(page.render(config))
    rows = read_claims(config)
    assert len(listed(found)) == sum(content["counts"].values()) == len(claim_rows(rows))
    assert set(content["counts"]) == {*VERDICTS}
    absent = {*content["absent"]}
    assert absent | {each.rpartition("-")[0] for each in listed(found)} == {
        row["claim"] for row in rows
    }
    assert len(set(found.ids)) == len(found.ids)
    assert [link for link in found.links if link[0] == "#" and link[1:] not in found.ids] == []
    assert {*FIGURES, *(f"table-{name}" for name in TABLES if name != "claims")} <= {*found.ids}


def test_a_document_takes_claims_and_figures_from_runs_of_other_sections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = make(tmp_path, ("ladder", "mixture"))
    sections = {each.address: each for each in page.content(config)["sections"]}
    assert [*sections] == ["ladder", "mixture", "vae", "moments", "all-documents"]
    assert "moments.3" in {claim.row["claim"] for claim in sections["moments"].claims}
    assert "latent_scatter" in {figure.name for figure in sections["moments"].figures}
    assert sections["moments"].shown == (
        "2 runs: data mnist5k; variant gauss; latents 2, 10; seed 0; of other sections of experiments, "
        "which has no runs in a section moments"
    )
    text = read(page.render(config)).text
    start = text.rindex("What the profile has no runs for")
    assert text.index("vq_codebook is not drawn") > start
    assert text.index("autoencoder_identity is not drawn") > start


def test_a_profile_of_one_seed_says_why_nothing_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = read(page.render(make(tmp_path, ("ladder",))))
    front = found.text[: found.text.index("How a claim is decided")]
    assert "Every claim is undecided: deciding takes three seeds or more." in front
    assert "They took 7 core-minutes;" in front
    assert "#rule" in found.links


def test_a_gallery_lists_the_claims_that_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = make(tmp_path, ("mixture",))
    claimed = {row["document"] for row in claim_rows(read_claims(config))}
    assert claimed - {"mixture"}
    gallery.write_gallery(config, "rungs gallery", tmp_path / "gallery")
    text = (tmp_path / "gallery" / "README.md").read_text()
    headings = re.findall("^## (.+)", text, flags=re.MULTILINE)
    assert {DOCUMENTS[name] for name in claimed} <= {*headings}
    # the tutorial has no runs of its own here, and figures of those of others
    assert DOCUMENTS["vae"] in headings
    pictures = {path.stem for path in (tmp_path / "gallery").glob("*.png")}
    assert {*re.findall(r"^!\[.+\]\((\w+)\.png\)", text, flags=re.MULTILINE)} == pictures
    assert "vae_manifold" in pictures
