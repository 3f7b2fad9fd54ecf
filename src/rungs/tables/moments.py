"""``moments``: the aggregate posterior of every latent of every run."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rungs.evaluation.definitions import ACTIVE_KL, ACTIVE_VARIANCE, MOMENTS, POSTERIOR_KINDS
from rungs.storage import result_file
from rungs.study.layout import Files
from rungs.study.settings import settings_of

NEEDED = ("test_moments", "train_moments", "posterior_kind", "kl", "active_variance")
#: what is shown of the training images as well
TRAINING = ("second_moment_sum", "kurtosis", "ks_statistic")

R = "stationarity/r"


def make(files: Files) -> pd.DataFrame:
    """One row a run, layer and latent: moments over the test images, some over the training images.

    ``how`` says what they are: ``exact``, the closed form for the mixture over the images;
    ``conditional`` and ``points``, of the latent standardised by its prior, with one draw an image of
    the layers between (see :mod:`rungs.evaluation.aggregate`). ``prior`` is N(0, I) or not, for the
    variance law is about N(0, I). ``active``: mean KL above 0.01 nats, or, where KL has no term a
    latent, Burda's A_u. ``r`` and its standard error ``r_se``, nats, of single layers that have it: how
    the expected reconstruction changes with the logarithm of the latent's scale
    (:mod:`rungs.evaluation.stationarity`).
    """
    rows = []
    for path in files["evaluation"]:
        evaluation = result_file.read(path, only=_names())
        settings = settings_of(evaluation)
        for layer, kind in enumerate(evaluation.layers("posterior_kind"), 1):
            found = {name: evaluation[f"layers/{layer}/{name}"] for name in NEEDED}
            test, train = (
                dict(zip(MOMENTS, found[f"{split}_moments"].T, strict=True))
                for split in ("test", "train")
            )
            how = POSTERIOR_KINDS[int(kind)]
            if how == "points":
                # one draw each: how much of the variance is within an image is not known
                nothing = np.full(len(test["mean"]), np.nan)
                test |= {"variance_of_mean": nothing, "mean_variance": nothing}
            separate = len(found["kl"]) == len(test["mean"])
            active = (
                found["kl"] > ACTIVE_KL if separate else found["active_variance"] > ACTIVE_VARIANCE
            )
            # below the top of a bottom-up model z_1 is exact, but its prior is p(z_1|z_2)
            learnt = settings["network"].get("prior", "gaussian") != "gaussian"
            standard = not learnt and (
                how != "exact" or settings["depth"] == 1 or settings["model"] != "vae"
            )
            rows.append(
                pd.DataFrame(
                    {
                        **{name: settings[name] for name in ("run", "dataset", "variant", "depth")},
                        "latent_dim": settings["size"] if settings["axis"] == "latent" else pd.NA,
                        "seed": settings["seed"],
                        "layer": layer,
                        "unit": range(1, len(active) + 1),
                        "how": how,
                        "prior": "N(0, I)" if standard else "other",
                        "active": active,
                        **test,
                        **{f"train_{name}": train[name] for name in TRAINING},
                        **_slope(evaluation, len(active)),
                    }
                )
            )
    if not rows:
        return pd.DataFrame()
    return pd.concat(rows, ignore_index=True).astype({"latent_dim": "Int64"})


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row a run and layer, over its active latents and the test images unless a name says ``train``.

    ``largest_mean`` and ``largest_deviation`` are the largest ``|mean|`` and ``|S - 1|``, S being
    ``second_moment_sum``; ``r`` is the mean over all latents.
    """
    if table.empty:
        return table
    keys = ["run", "layer", "how", "prior"]
    active = table.where(table["active"].astype(bool)).assign(**table[keys])
    found = active.assign(
        largest_mean=active["mean"].abs(),
        largest_deviation=(active["second_moment_sum"] - 1).abs(),
        r=table["r"],
    ).groupby(keys, sort=False)
    counted = table.groupby(keys, sort=False)["active"]
    return pd.DataFrame(
        {
            "latents": counted.size(),
            "active": counted.sum(),
            "largest_mean": found["largest_mean"].max(),
            "second_moment_sum": found["second_moment_sum"].mean(),
            "train_second_moment_sum": found["train_second_moment_sum"].mean(),
            "largest_deviation": found["largest_deviation"].max(),
            "least_kurtosis": found["kurtosis"].min(),
            "largest_kurtosis": found["kurtosis"].max(),
            "r": found["r"].mean(),
        }
    ).reset_index()


def _slope(evaluation: result_file.Stored, units: int) -> dict[str, np.ndarray]:
    """Return R of each latent and its standard error over independent draws, NaN where there is none."""
    if R not in evaluation.arrays:
        return {name: np.full(units, np.nan) for name in ("r", "r_se")}
    r = evaluation[R]
    return {"r": r.mean(0), "r_se": r.std(0, ddof=1) / np.sqrt(len(r))}


def _names() -> list[str]:
    """Arrays to read; no run has more layers than this."""
    return [R, *(f"layers/{i}/{name}" for i in range(1, 101) for name in NEEDED)]
