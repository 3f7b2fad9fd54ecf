"""What ``make all`` prints, and the summary that it leaves behind."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from conftest import copy_workflow, run_snakemake
from rungs.claims import claims
from rungs.jobs.screen import LONG
from rungs.report.summary import closing
from rungs.study import profile
from rungs.study.layers import DEFAULT
from rungs.study.layout import Layout
from rungs.tables import save
from rungs.tables.claims import COLUMNS

MOST_LINES = 250
#: of `make all` itself, Snakemake's list of jobs and the names of its logs
AROUND = 10


def test_the_default_profile_prints_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for a job that starts or ends, and one a claim, all of them decided."""
    clone = copy_workflow(tmp_path)
    planned = run_snakemake(clone, "--dry-run", "all", "--logger", "rungs")
    listed = re.search(r"^To do: (.*)$", planned.stdout + planned.stderr, re.M)
    assert listed, planned.stdout + planned.stderr
    jobs = {rule: int(count) for count, rule in re.findall(r"(\d+) (\w+)", listed[1])}
    assert jobs["train"] > 20
    shown = sum(count * (2 if rule in LONG else 1) for rule, count in jobs.items())

    monkeypatch.chdir(clone)
    config = profile.load([DEFAULT])
    row = {"dataset": "mnist5k", "verdict": "reproduced", "basis": "3 seeds", "seeds": 3}
    rows = [
        row | {"claim": claim.name, "part": part, "document": claim.document} | statement
        for claim in claims()
        for part, statement in [
            ("", {"statement": claim.statement}),
            *((part.name, {"statement": part.measures}) for part in claim.parts),
        ]
    ]
    table = Path(Layout(config["profile"]).table("claims", ""))
    table.parent.mkdir(parents=True)
    save(pd.DataFrame(rows, columns=COLUMNS), table)
    text = closing(config)
    for claim in claims():
        assert re.search(rf"^{re.escape(claim.name)} .*{re.escape(claim.statement)}$", text, re.M)
    assert shown + text.count("\n") + AROUND <= MOST_LINES


def test_the_end_names_the_summary_which_has_the_parts(tiny_workflow: Path) -> None:
    printed = (tiny_workflow / "printed.txt").read_text()
    end = printed[printed.index("Claims: ") :]
    kept = (tiny_workflow / "clone/results/tiny/summary.txt").read_text()
    assert "results/tiny/summary.txt" in end
    part = re.compile(r"^  active units ", re.M)
    assert part.search(kept)
    assert not part.search(end)
    assert re.search(r"^mnist5k/vae/depth5 ", kept, re.M)
