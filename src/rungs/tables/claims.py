"""``claims``: what the documents say, and what these runs say of it."""

from __future__ import annotations

import pandas as pd

from rungs.claims import claims
from rungs.claims.core import StoredRun, decide
from rungs.claims.stated import stated
from rungs.storage import result_file
from rungs.study.layout import Files


def make(files: Files) -> pd.DataFrame:
    """One row a claim and data set; ``basis`` says what the interval is over, or why there is
    no verdict. ``published`` is the document's own number, ``published_basis`` where it comes from
    and whether data and networks are the same here."""
    runs = [
        StoredRun(
            result_file.read(training, only=["elbo", "objective"]), result_file.read(evaluation)
        )
        for training, evaluation in zip(files["training"], files["evaluation"], strict=True)
    ]
    rows = []
    datasets = list(dict.fromkeys(run.settings["dataset"] for run in runs))
    for claim in claims():
        # a claim about data that the profile has not is still listed, as undecided
        for dataset in [d for d in datasets if d.startswith(claim.data)] or [claim.data]:
            decision = decide(claim, dataset, runs)
            low, high = decision.interval
            used = [run.settings for run in runs if run.name in decision.runs]
            published, published_basis = stated(claim, dataset, used)
            rows.append(
                {
                    "claim": claim.name,
                    "document": claim.document,
                    "dataset": dataset,
                    "statement": claim.statement,
                    "measured": decision.measured,
                    "threshold": f"{claim.relation} {claim.threshold:g}",
                    "interval": f"[{low:.3f}, {high:.3f}]" if low == low else "",
                    "published": published,
                    "published_basis": published_basis,
                    "verdict": decision.verdict,
                    "basis": decision.basis,
                    "runs": " ".join(decision.runs),
                }
            )
    return pd.DataFrame(rows)
