"""The summary that ends ``make all``: variant by depth, L_k, active units, where the files are."""

from __future__ import annotations

from collections import defaultdict

from rungs.report.claims import read_claims
from rungs.report.scorecard import to_text
from rungs.study.layers import Config
from rungs.study.layout import Layout
from rungs.tables import read_rows


def summarise(config: Config) -> str:
    """A plain-text page from the tables ``loglik``, ``active_units`` and ``claims``."""
    layout = Layout(config["profile"])
    bounds = read_rows(layout.table("loglik", ".csv"))
    active: dict[str, list[str]] = defaultdict(list)
    for row in read_rows(layout.table("active_units", ".csv")):
        active[row["run"]].append(row["active_kl"])
    lines = [
        f"Profile {config['profile']}: test L_k in nats per image, active units a layer (KL)",
        "",
    ]
    head = f"{'run':<44}{'L_k':>8} {'s.e.':>5}  {'k':>5}"
    lines += [head + "  active", "-" * (len(head) + 20)]
    unconverged = False
    for row in bounds:
        marked = row["converged"] != "True"
        unconverged |= marked
        lines.append(
            f"{row['run']:<44}"
            f"{float(row['test_lk']):>8.2f} {float(row['test_lk_se']):>5.2f}  {row['k']:>5}  "
            f"{' '.join(active[row['run']])}{'  *' if marked else ''}"
        )
    if unconverged:
        lines += ["", "* not converged, or without a continuation"]
    lines += [
        "",
        to_text(read_claims(config)),
        f"report   {layout.report}",
        f"figures  {layout.root}/figures/",
        f"tables   {layout.root}/tables/",
        f"runs     {layout.runs}/",
    ]
    return "\n".join(lines) + "\n"
