"""The cost of runs before they run: time, memory and disk, for one job and for a whole profile.

Each family of models estimates its own (:mod:`rungs.models.cost`), for a core of 66 GFLOP/s in float32. A
processor at half that speed takes twice the time, which :data:`MARGIN` allows for. What jobs request is the
cost in float32 in any case: whether a node multiplies bfloat16 is not known before. No GPU has been measured
yet: with ``compute.device: cuda`` the hours are those of a CPU core, an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rungs.data import DatasetEntry, catalogue
from rungs.evaluation.definitions import CONVOLUTIONAL_PICTURES
from rungs.jobs.packs import packs
from rungs.models import entry, load_object
from rungs.models.cost import BASE_MEMORY_MB, Cost, Request, convolutional
from rungs.study.layers import Config
from rungs.study.layout import Layout
from rungs.study.runs import Run, all_runs, runs
from rungs.study.settings import code_prior_settings, evaluation_settings, resolve
from rungs.training.schedules import continuation_epochs, total_epochs

#: seconds to start a process and import torch
START_SECONDS = 4.0
#: requested time over estimated time
MARGIN = 3.0
#: minutes that preparing a data set and training its classifier request at least
LEAST_MINUTES = 30
#: images that the classifier sees in its training (:mod:`rungs.evaluation.classifier`)
CLASSIFIED = 1500 * 128


def together(costs: Sequence[Cost], side_by_side: int = 1) -> Cost:
    """The cost of several runs in one job: the sum of their times and files, and the memory of the largest,
    or of so many that are trained side by side: each has images, weights and activations of its own."""
    own = sorted((c.memory_mb - BASE_MEMORY_MB for c in costs), reverse=True)
    return Cost(
        sum(c.training_seconds for c in costs),
        sum(c.evaluation_seconds for c in costs),
        BASE_MEMORY_MB + sum(own[:side_by_side]),
        sum(c.disk_mb for c in costs),
        sum(c.prior_seconds for c in costs),
    )


def side_by_side(config: Config, members: Sequence[Run]) -> int:
    """How many of a job's runs are trained side by side at most."""
    models = (entry(config["variants"][run.variant]["model"]) for run in members)
    return int(config["compute"]["ensemble"]) if all(m.side_by_side for m in models) else 1


def of_job(config: Config, members: Sequence[Run]) -> Cost:
    """The cost of a job's runs, which may be trained side by side."""
    return together([estimate(config, run) for run in members], side_by_side(config, members))


def estimate(config: Config, run: Run, arithmetic: str = "float32") -> Cost:
    """The cost of one run, as the registry's entry of its model estimates it.

    Args:
        arithmetic: of products, and with it the core, whatever ``compute.precision`` is
            (:data:`rungs.models.cost.CORES`).
    """
    settings, data = resolve(config, run), catalogue(config)[run.dataset]
    model, prior = entry(settings["model"]), code_prior_settings(config, run)
    request = Request(
        settings,
        evaluation_settings(config, run),
        prior,
        total_epochs(settings["training"]),
        0 if prior is None else total_epochs(prior["training"]),
        continuation_epochs(settings["training"]),
        data.train,
        data.test,
        math.prod(data.shape),
        model.sampled,
        CONVOLUTIONAL_PICTURES,
        arithmetic,
    )
    found: Cost = load_object(model.cost)(request)
    return found


def preparation_mb(data: DatasetEntry) -> float:
    """The memory that preparing a data set takes, megabytes: the images of both splits as they are read,
    put together and written."""
    return BASE_MEMORY_MB + 8e-6 * _values(data)


def classifier_mb(data: DatasetEntry) -> float:
    """The memory that training a data set's classifier takes, megabytes: all images as float32, while they
    are converted twice, and the activations of a thousand."""
    return BASE_MEMORY_MB + 10e-6 * _values(data) + 0.05 * math.prod(data.shape[:2])


def classifier_seconds(data: DatasetEntry) -> float:
    """The time that training a data set's classifier takes: it grows with the pixels of an image alone."""
    height, width, *channels = data.shape
    # of a pixel: two strided convolutions, and a dense layer
    forward = 25 * 16 * math.prod(channels) / 4 + 25 * 16 * 32 / 16 + 32 * 32 / 16
    return 3 * CLASSIFIED * height * width * forward / convolutional.RATE


def classifier_minutes(data: DatasetEntry, attempt: int) -> int:
    """The minutes that the job of a classifier requests."""
    return max(LEAST_MINUTES * attempt, runtime_minutes(classifier_seconds(data), attempt))


def _values(data: DatasetEntry) -> int:
    """The number of values of all images."""
    return (data.train + data.test) * math.prod(data.shape)


def mem_mb(memory: float, attempt: int) -> int:
    """The memory that a job requests: half as much again as estimated, and more on a retry."""
    return round(1.5 * memory * attempt)


def runtime_minutes(seconds: float, attempt: int) -> int:
    """The minutes that a job requests: with a margin for slower processors, and more on a retry."""
    return round((MARGIN * (seconds + START_SECONDS) / 60 + 5) * attempt)


def summarise(config: Config) -> dict[str, float]:
    """Sum up a configuration: runs, jobs, core-hours, GPU-hours, disk.

    All hours are those of float32 but ``core_hours_bfloat16``, which has ``compute.precision: bfloat16``.
    """
    everything = all_runs(config)
    known = {run: estimate(config, run) for run in everything}
    costs = [*known.values()]
    pack = config["compute"]["pack"]
    packed = packs(config) if pack > 1 else {}
    shards = config["compute"]["shards"]
    asked = set(runs(config))
    jobs = 2 * len(packed) if packed else len(everything) + len(asked)
    jobs += len(asked) * shards if shards > 1 else 0
    jobs += sum(1 for cost in costs if cost.prior_seconds) if pack == 1 else 0
    layout, datasets = Layout(config["profile"]), catalogue(config)
    names = {run.dataset for run in asked if layout.classifier_of(config, run)}
    compared = [datasets[name] for name in sorted(names)]
    classifiers = sum(map(classifier_seconds, compared))

    # the rate is one core's, whatever the number of threads
    def hours(costs: Mapping[Run, Cost]) -> tuple[float, float]:
        """Of training and of evaluating."""
        train = sum(cost.training_seconds + cost.prior_seconds for cost in costs.values())
        evaluate = sum(costs[run].evaluation_seconds for run in everything if run in asked)
        return train / 3600, (evaluate + classifiers) / 3600

    train, evaluate = hours(known)
    rounded = hours({run: estimate(config, run, "bfloat16") for run in everything})
    starts = jobs * START_SECONDS / 3600
    on_gpu = config["compute"]["device"] == "cuda"
    return {
        "runs": len(everything),
        "submitted_jobs": jobs,
        "training_core_hours": 0.0 if on_gpu else train,
        "evaluation_core_hours": evaluate,
        "core_hours": starts + evaluate + (0.0 if on_gpu else train),
        "core_hours_bfloat16": starts + rounded[1] + (0.0 if on_gpu else rounded[0]),
        "gpu_hours": train if on_gpu else 0.0,
        "longest_run_hours": max((c.training_seconds for c in costs), default=0.0) / 3600,
        "peak_memory_mb": max(
            [c.memory_mb for c in costs]
            + [
                together([known[run] for run in job], side_by_side(config, job)).memory_mb
                for job in packed.values()
            ]
            + [classifier_mb(data) for data in compared],
            default=0.0,
        ),
        "disk_gb": sum(cost.disk_mb for cost in costs) / 1e3,
    }
