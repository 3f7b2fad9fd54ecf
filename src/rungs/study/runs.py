"""The runs of a study: data set, variant, size and seed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rungs.errors import ConfigError
from rungs.study.documents import DOCUMENTS
from rungs.study.layers import Config

#: what a grid varies besides the seed: the number of stochastic layers, the units of a single one,
#: or the number of discrete codes -> the key of the grid
SIZES = {"depth": "depths", "latent": "latents", "codes": "codes"}


#: the folder, in a run's, of the prior that is learnt over its codes
PRIOR_FOLDER = "prior"


@dataclass(frozen=True, order=True)
class Run:
    """One dataset, variant, size and seed. Its path names its folder and its jobs.

    The size is that of the axis along which the model's family is studied: see :data:`SIZES`.

    >>> Run.parse("mnist5k/vae-bn/depth5/seed0").size
    5
    >>> Run.parse("mnist5k/mog/latent10/seed0").axis
    'latent'
    """

    dataset: str
    variant: str
    size: int
    seed: int
    axis: str = "depth"

    @property
    def path(self) -> str:
        """``dataset/variant/<axis><size>/seed<seed>``."""
        return f"{self.dataset}/{self.variant}/{self.axis}{self.size}/seed{self.seed}"

    @property
    def depth(self) -> int:
        """The number of stochastic layers."""
        return self.size if self.axis == "depth" else 1

    @classmethod
    def parse(cls, path: str) -> Run:
        """The run of a path.

        Raises:
            ConfigError: if ``path`` is not of the form ``dataset/variant/depthD/seedS``.
        """
        axes = "|".join(SIZES)
        match = re.fullmatch(
            rf"([\w-]+)/([\w-]+)/({axes})([0-9]{{1,18}})/seed([0-9]{{1,18}})", path
        )
        if not match:
            raise ConfigError(
                f"run {path!r}: expected dataset/variant/depth<D>/seed<S> (or latent<N>, codes<K> in "
                "the place of depth), for example mnist5k/vae-bn/depth5/seed0."
            )
        return cls(match[1], match[2], int(match[4]), int(match[5]), match[3])


def axis_of(grid: Config) -> str:
    """The axis along which a grid of runs varies besides the seed: a key of :data:`SIZES`."""
    return next(axis for axis, key in SIZES.items() if key in grid)


def runs(config: Config, document: str | None = None) -> list[Run]:
    """Every run that the configuration asks for, each once: by document, and in the order of its grids.

    Documents have an order of their own, as files that are written by a program sort them by name. Runs
    that are only there to be continued by others are not among them.
    """
    found: dict[Run, None] = {}
    experiments, order = config["experiments"], list(DOCUMENTS)
    for name in sorted(experiments, key=lambda n: order.index(n) if n in order else len(order)):
        if document is not None and name != document:
            continue
        for grid in experiments[name]:
            found.update(
                (Run(dataset, variant, size, seed, axis), None)
                for axis in [axis_of(grid)]
                for dataset in grid["datasets"]
                for variant in grid["variants"]
                for size in grid[SIZES[axis]]
                for seed in grid["seeds"]
            )
    return list(found)


def parent_of(config: Config, run: Run) -> Run | None:
    """The run whose weights this one starts from, if its variant continues another."""
    parent = config["variants"][run.variant].get("continues")
    return None if parent is None else replace(run, variant=parent)


def lineage(config: Config, run: Run) -> list[Run]:
    """A run after those that it continues, the first of them first."""
    chain = [run]
    while (parent := parent_of(config, chain[0])) is not None:
        chain.insert(0, parent)
    return chain


def all_runs(config: Config) -> list[Run]:
    """The runs that the configuration asks for, and those that they continue."""
    return list(dict.fromkeys(each for run in runs(config) for each in lineage(config, run)))


def shown_runs(config: Config, document: str | None, settings: Config) -> list[Run]:
    """The runs that a figure shows.

    They are those of its document with its sizes. A named variant that has none of these there, as in a
    profile for data of one's own, is shown by its runs in any document. Where no variant has the sizes, as
    many others are shown: of one the largest, of two the smallest and the largest, and so on.

    Args:
        document: the figure's; None for all.
        settings: the figure's, see :func:`selected`.
    """
    if shown := _of_each_variant(config, document, settings):
        return shown
    of_any_size = {k: v for k, v in settings.items() if k not in SIZES.values()}
    fitting = _of_each_variant(config, document, of_any_size)
    sizes = {
        key: spread({run.size for run in fitting if run.axis == axis}, len(settings[key]))
        for axis, key in SIZES.items()
        if key in settings
    }
    return selected(fitting, {**settings, **sizes})


def _of_each_variant(config: Config, document: str | None, settings: Config) -> list[Run]:
    """The selected runs of a document and, of named variants that have none there, those of all."""
    own = selected(runs(config, document), settings)
    # a figure that names no variants could not draw those of other documents
    missing = set(settings.get("variants", ())) - {run.variant for run in own}
    elsewhere = [run for run in runs(config) if run.variant in missing]
    return selected([*own, *elsewhere], settings)


def spread(sizes: Iterable[int], count: int) -> list[int]:
    """Return so many of the sizes, evenly by rank, with the largest.

    >>> spread([2, 5, 10, 20], 1), spread([2, 5, 10, 20], 2), spread([2, 5], 3)
    ([20], [2, 20], [2, 5])
    """
    ranked = sorted(set(sizes))
    if len(ranked) <= count:
        return ranked
    last = len(ranked) - 1
    places = [last] if count == 1 else [round(i * (last / (count - 1))) for i in range(count)]
    return [ranked[place] for place in places]


def selected(found: list[Run], settings: Config) -> list[Run]:
    """The runs that a figure shows: of its ``variants``, in their order, and its sizes (``depths``,
    ...); of each the first seed only where the settings say ``first_seed``."""
    variants = settings.get("variants") or list(dict.fromkeys(run.variant for run in found))
    kept = [run for name in variants for run in found if run.variant == name]
    for axis, key in SIZES.items():
        if key in settings:
            kept = [run for run in kept if run.axis != axis or run.size in settings[key]]
    if settings.get("first_seed"):
        first: dict[Run, Run] = {}
        for run in sorted(kept, key=lambda run: run.seed):
            first.setdefault(replace(run, seed=0), run)
        kept = [run for run in kept if run in first.values()]
    return kept
