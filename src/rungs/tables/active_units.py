"""``active_units``: how many units of each layer a run uses, by both definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rungs.claims.published import beside
from rungs.evaluation.definitions import ACTIVE_KL, ACTIVE_VARIANCE
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import settings_of


def make(files: Files) -> pd.DataFrame:
    """One row a run and layer, bottom first.

    ``active_variance`` counts units with A_u > 0.01 (Burda et al. 2016), ``active_kl`` those
    whose mean KL over the test images exceeds 0.01 nats; ``kl_nats`` is the layer's total.
    The ladder document gives its counts as pictures only, so ``published`` is empty so far.
    """
    rows = []
    for path in files["evaluation"]:
        evaluation = result_file.read(path)
        settings = settings_of(evaluation)
        layers = zip(evaluation.layers("kl"), evaluation.layers("active_variance"), strict=True)
        for number, (kl, variance) in enumerate(layers, 1):
            rows.append(
                {
                    **{
                        name: settings[name]
                        for name in ("run", "dataset", "variant", "depth", "seed")
                    },
                    "layer": number,
                    "units": len(variance),
                    "active_variance": int(np.count_nonzero(variance > ACTIVE_VARIANCE)),
                    # a layer whose prior or posterior does not factorise has one term in all
                    "active_kl": int(np.count_nonzero(kl > ACTIVE_KL))
                    if len(kl) == len(variance)
                    else None,
                    "kl_nats": kl.sum(),
                    **beside(settings, "active_units"),
                }
            )
    table = pd.DataFrame(rows)
    if "active_kl" in table:
        table["active_kl"] = table["active_kl"].astype("Int64")
    return table
