"""What evidence keeps of a run's arrays: what tables, claims and figures read, as small as that allows.

The one place where this is decided. An array is

- left out if nothing reads it, if figures alone read it and none of them shows the run
  (:data:`DRAWN`), or if claims alone read it and none rests on the run;
- kept as it is if the run has at most :data:`IMAGES` test images, or if no rule below names it;
- else reduced (:data:`FINAL`, :data:`EARLIER`, :func:`_scattered`, :func:`_resampled`).

Every reduction leaves what tables report, and what claims of three seeds and more decide by, as it is for
all test images, but for rounding to float32. Two things are over fewer images: scatter plots show
:data:`IMAGES` of them, and the bootstrap of a claim with fewer than three seeds, whose leaning is no
verdict, draws blocks of images where it needs the KL of every unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np

from rungs.claims import claims
from rungs.claims.arrays import DISTANCES, KURTOSIS, SAMPLES, frechet
from rungs.claims.core import StoredRun
from rungs.claims.intervals import RESAMPLES
from rungs.claims.moments import kurtosis
from rungs.claims.resampling import every_resample
from rungs.claims.verdicts import rests_on
from rungs.evaluation.definitions import is_claimed
from rungs.figures import FIGURES, figure_settings
from rungs.storage.result_file import Stored
from rungs.study.layers import Config
from rungs.study.layout import BEFORE, SCHEDULED
from rungs.study.runs import Run, runs, shown_runs
from rungs.study.settings import resolve

#: test images of which all arrays are kept as they are, and the images of a scatter plot where there are more
IMAGES = 1000
#: blocks of images over which an array is averaged that has a column for every unit
BLOCKS = 100
#: what draws the images of scatter plots and the blocks: the same for all arrays and all runs
SEED = 0

#: arrays of an evaluation or a history that figures alone read -> these figures; none where nothing does
DRAWN: dict[str, tuple[str, ...]] = {
    # evaluation
    "pictures/samples": (
        *("ladder_samples", "mixture_samples", "latent_dimension", "vae_samples", "vq_samples"),
    ),
    "pictures/reconstructions": (
        *("ladder_reconstructions", "autoencoder_identity", "vq_reconstructions"),
    ),
    "pictures/fitted": ("vae_samples",),
    "pictures/rotated*": ("autoencoder_identity",),
    "manifold/*": ("vae_manifold",),
    "traversal/*": ("latent_traversal",),
    "interpolation/*": ("mixture_samples",),
    "components/pictures": ("mixture_components",),
    "components/classes": ("mixture_components",),
    "kl/*": ("mixture_kl",),
    "rescale/reconstruction": (),
    "rescale/*": ("kl_fixed_ratio",),
    "posterior/scale": ("latent_scatter",),
    "layers/*/sample": ("ladder_pca",),
    "layers/*/posterior_mean": ("aggregate_posterior", "kl_fixed_ratio", "latent_scatter"),
    "layers/*/posterior_variance": ("aggregate_posterior", "kl_fixed_ratio", "latent_scatter"),
    "layers/*/code": (),
    "frechet/gaussian_features": (),
    "samples/label": (),
    # history
    "history/layers/*/kl": ("ladder_kl_history", "active_units_history"),
    "history/layers/*/mean_variance": (),
    "history/code_use": ("vq_codebook",),
    "history/encoder_norm": ("vq_codebook",),
    f"history/{SCHEDULED}*": (),
}
#: arrays with a point an image, which scatter plots show
SCATTERED = (
    "layers/*/sample",
    "layers/*/posterior_mean",
    "layers/*/posterior_variance",
    "posterior/scale",
)
FEATURES = "frechet/*_features"
#: arrays that claims alone read
CLAIMS_ALONE = (
    *("layers/*/image_kl", FEATURES, "samples/confidence", "lines/log_density"),
    *("average/*", "rescaled/*"),
)

Reduction = Callable[[np.ndarray], np.ndarray]


def mean(array: np.ndarray) -> np.ndarray:
    """Average over the first axis, which stays, with one entry, in double precision."""
    return np.asarray(array.mean(0, keepdims=True, dtype=np.float64))


def mean_of_second(array: np.ndarray) -> np.ndarray:
    """Average over the second axis."""
    return np.asarray(array.mean(1, keepdims=True, dtype=np.float64))


def median(array: np.ndarray) -> np.ndarray:
    """Return the median of ``[images]``, ``[1]``."""
    return np.median(array, keepdims=True)


def in_order(codes: np.ndarray) -> np.ndarray:
    """Sort codes ``[images, places]``: only how often each occurs is read, and in order they pack well."""
    return np.sort(codes, axis=None).reshape(codes.shape)


def rounded(array: np.ndarray) -> np.ndarray:
    """Round to the digits of float32; the type stays, so that means are still taken in double precision."""
    return array.astype(np.float32).astype(array.dtype)


def half(array: np.ndarray) -> np.ndarray:
    """Round to float16: a point of a plot."""
    return array.astype(np.float16)


def block_means(array: np.ndarray) -> np.ndarray:
    """Average ``[images, ...]`` over :data:`BLOCKS` blocks of images drawn at random, float32.

    Blocks differ in size by one image where their number does not divide that of the images; all are moved
    by what makes their mean that of all images. The bootstrap over independent blocks has the spread of
    that over images.
    """
    order = _order(len(array))
    blocks = [array[part].mean(0, dtype=np.float64) for part in np.array_split(order, BLOCKS)]
    found = np.stack(blocks)
    found += array.mean(0, dtype=np.float64) - found.mean(0)
    return found.astype(np.float32)


def chosen_images(count: int) -> np.ndarray:
    """Return the numbers of the images that a scatter plot keeps, in their order."""
    return np.sort(_order(count)[:IMAGES])


def _order(count: int) -> np.ndarray:
    random = np.random.default_rng([SEED, count])
    return random.permutation(count)


#: of the evaluation of the final model, with more than :data:`IMAGES` test images; the first pattern counts
FINAL: dict[str, Reduction] = {
    # tables take the mean
    "train/elbo": mean,
    "autoencoder/*": mean,
    "test/commitment": mean,
    "test/prior": mean,
    # the table loglik takes the median
    "test/ess": median,
    # a figure takes the mean of each k
    "test/nested_lk": mean_of_second,
    "rescale/image_kl": mean_of_second,
    # tables count
    "test/codes": in_order,
    # claims resample images: the bounds are kept, so that differences of runs stay paired by image ...
    "test/lk": rounded,
    "test/elbo": rounded,
    "test/reconstruction": rounded,
    "test/swapped": rounded,
    "test/kl": rounded,
    # ... and of what has a column a unit, or is compared with nothing else, blocks of images
    "layers/*/image_kl": block_means,
    "samples/confidence": block_means,
    "test/encoder_square": block_means,
    "test/mse": block_means,
}
#: of the evaluation before the continuation, of which claims take means over all images and nothing else
EARLIER: dict[str, Reduction] = {
    "test/codes": lambda codes: codes[:1],  # the number of places
    "test/labels": lambda labels: labels,
    "test/nested_k": lambda numbers: numbers,
    "probe/*/correct/*": mean_of_second,
    "layers/*/image_kl": mean,
    "layers/*/knn_correct": mean,
    "samples/confidence": mean,
    "posterior/components": mean,
    "test/lk_gap": lambda gap: gap,
    "test/*": mean,
}
#: of the history, which figures draw
HISTORY_RULES: dict[str, Reduction] = {"layers/*/kl": half}


@dataclass(frozen=True)
class Use:
    """What shows a run and what rests on it: names of figures and of claims."""

    figures: frozenset[str]
    claims: frozenset[str]


def uses(config: Config) -> dict[Run, Use]:
    """Return the use of every run that a configuration asks for."""
    asked = runs(config)
    figures: dict[Run, set[str]] = {run: set() for run in asked}
    for name, entry in FIGURES.items():
        for run in shown_runs(config, entry.document, figure_settings(config, name)):
            figures[run].add(name)
    return {
        run: Use(frozenset(figures[run]), frozenset(names))
        for run, names in _claims_of(config, asked).items()
    }


def _claims_of(config: Config, asked: list[Run]) -> dict[Run, set[str]]:
    """Return the claims that rest on each run, by the rule that decides them."""
    by_path = {run.path: run for run in asked}
    nothing = {run: Stored(Path(run.path), {}, {"run": resolve(config, run)}) for run in asked}
    stored = [StoredRun(each, each) for each in nothing.values()]
    found: dict[Run, set[str]] = {run: set() for run in asked}
    for claim in claims():
        for dataset in dict.fromkeys(run.dataset for run in asked):
            if dataset.startswith(claim.data):
                for path in rests_on(claim, dataset, stored):
                    found[by_path[path]].add(claim.name)
    return found


def slim_history(found: Stored, use: Use) -> dict[str, np.ndarray]:
    """Return the arrays of a training file that evidence keeps."""
    kept = {n: a for n, a in found.arrays.items() if _is_read(f"history/{n}", use)}
    return {name: _apply(HISTORY_RULES, name, array) for name, array in kept.items()}


def slim_evaluation(found: Stored, use: Use) -> dict[str, np.ndarray]:
    """Return the arrays of an evaluation that evidence keeps, reduced if it has more than :data:`IMAGES`
    test images."""
    images = len(found["test/labels"])
    final = {n: a for n, a in found.arrays.items() if not n.startswith(BEFORE)}
    before = {n.removeprefix(BEFORE): a for n, a in found.arrays.items() if n.startswith(BEFORE)}
    if not use.claims:
        before = {}
    if images <= IMAGES:
        kept = {n: a for n, a in final.items() if _is_read(n, use)}
    else:
        kept = _final(Stored(found.path, final, found.attributes), use, images)
        before = _earlier(Stored(found.path, before, found.attributes), use)
    return kept | {f"{BEFORE}{name}": array for name, array in before.items()}


def _is_read(name: str, use: Use) -> bool:
    """Return whether something reads an array of a run."""
    drawn = next((figures for p, figures in DRAWN.items() if fnmatchcase(name, p)), None)
    if drawn is not None and use.figures.intersection(drawn):
        return True
    if is_claimed(name) and use.claims:
        return True
    return drawn is None and not _matches(name, CLAIMS_ALONE)


def _final(found: Stored, use: Use, images: int) -> dict[str, np.ndarray]:
    kept = {
        name: _apply(FINAL, name, array)
        for name, array in found.arrays.items()
        if _is_read(name, use) and not _matches(name, (FEATURES, *SCATTERED))
    }
    return kept | _scattered(found, use, images) | _resampled(found, use, RESAMPLES)


def _earlier(found: Stored, use: Use) -> dict[str, np.ndarray]:
    kept = {
        name: _apply(EARLIER, name, array)
        for name, array in found.arrays.items()
        if not _matches(name, (FEATURES, *SCATTERED))
    }
    return kept | _resampled(found, use, 0)


def _scattered(found: Stored, use: Use, images: int) -> dict[str, np.ndarray]:
    """Keep :data:`IMAGES` of the points that a scatter plot shows, and their labels beside them.

    Where claims count the labels of all images, all points are kept.
    """
    points = {
        name: array
        for name, array in found.arrays.items()
        if _matches(name, SCATTERED) and use.figures.intersection(_figures_of(name))
    }
    if not points:
        return {}
    counted = "mixture.2" in use.claims
    rows = np.arange(images) if counted else chosen_images(images)
    kept = {name: half(array[rows]) for name, array in points.items()}
    return kept if counted else kept | {"test/labels": found["test/labels"][rows]}


def _resampled(found: Stored, use: Use, resamples: int) -> dict[str, np.ndarray]:
    """Compute what claims compute of features and posteriors, for all images and for every resample."""
    if not use.claims:
        return {}
    kept = {
        DISTANCES.format(kind): every_resample(partial(frechet, found, samples=kind), resamples)
        for kind in SAMPLES
        if {f"frechet/{kind}_features", "frechet/test_features"} <= found.arrays.keys()
    }
    posterior = {f"layers/1/posterior_{name}" for name in ("mean", "variance")}
    if "moments.3" in use.claims and posterior <= found.arrays.keys():
        kept[KURTOSIS] = every_resample(partial(kurtosis, found), resamples).astype(np.float32)
    return kept


def _figures_of(name: str) -> tuple[str, ...]:
    return next((figures for p, figures in DRAWN.items() if fnmatchcase(name, p)), ())


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _apply(rules: Mapping[str, Reduction], name: str, array: np.ndarray) -> np.ndarray:
    """Reduce an array by the first rule whose pattern it matches; a number is no array of images."""
    reduction = next((r for pattern, r in rules.items() if fnmatchcase(name, pattern)), None)
    return array if reduction is None or array.ndim == 0 else reduction(array)
