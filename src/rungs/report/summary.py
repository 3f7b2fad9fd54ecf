"""The summary of a profile: models with L_k and active units, claims with parts, where the files are."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean, stdev

from rungs.report.claims import read_claims
from rungs.report.scorecard import to_text
from rungs.study.layers import Config
from rungs.study.layout import Layout
from rungs.tables import read_rows


def summarise(config: Config) -> str:
    """Return a plain-text page from the tables ``loglik``, ``active_units`` and ``claims``.

    A line is a variant and size, over its seeds.
    """
    layout = Layout(config["profile"])
    active: dict[str, list[float]] = defaultdict(list)
    for row in read_rows(layout.table("active_units", ".csv")):
        active[row["run"]].append(float(row["active_kl"] or "nan"))
    models: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(layout.table("loglik", ".csv")):
        models[row["run"].rpartition("/")[0]].append(row)
    head = (
        f"{'model':<36}{'seeds':>5} {'L_k':>8} {'s.d.':>5} {'k':>5}  {'converged':<9}  active units"
    )
    lines = [
        f"Profile {config['profile']}: means over seeds; L_k in nats a test image, active units a layer",
        "",
        head,
        "-" * (len(head) + 8),
        *(_line(model, rows, active) for model, rows in models.items()),
        "",
        "Models without a likelihood are not listed. A run without a continuation may have converged or not.",
        "",
        to_text(read_claims(config)),
        *_places(layout),
    ]
    return "\n".join(lines) + "\n"


def closing(config: Config) -> str:
    """Return what the workflow prints at the end of a profile: the verdicts, and where the rest is.

    It is a line a claim. Of the default profile the models and the parts would be 150 more.
    """
    layout = Layout(config["profile"])
    lines = [
        to_text(read_claims(config), parts=False),
        *_places(layout),
        f"summary  {layout.summary}: models, and the parts of the claims",
    ]
    return "\n".join(lines) + "\n"


def _places(layout: Layout) -> list[str]:
    """Return the lines that name a profile's files."""
    return [
        f"report   {layout.report}",
        f"figures  {layout.root}/figures/",
        f"tables   {layout.root}/tables/",
        f"runs     {layout.runs}/",
    ]


def _line(model: str, rows: list[dict[str, str]], active: dict[str, list[float]]) -> str:
    """Return the line of a model: its rows of ``loglik``, one a seed."""
    bounds = [float(row["test_lk"]) for row in rows]
    spread = f"{stdev(bounds):.2f}" if len(bounds) > 1 else ""
    told = [row["converged"] == "True" for row in rows if row["converged"]]
    converged = f"{sum(told)} of {len(told)}" if told else ""
    layers = zip(*(active[row["run"]] for row in rows), strict=True)
    units = " ".join(f"{mean(each):.0f}".replace("nan", "-") for each in layers)
    numbers = f"{len(rows):>5} {mean(bounds):>8.2f} {spread:>5} {rows[0]['k']:>5}"
    return f"{model:<36}{numbers}  {converged:<9}  {units}"
