"""What a run will cost, before it runs: time, memory, disk.

No GPU has been measured yet: with ``compute.device: cuda`` the hours are those of a CPU core, an
upper bound.

Time is counted, not guessed: multiply-adds of the dense networks, of which a training step makes
three times those of a forward pass, over the rate that one core reaches, plus an overhead a
step for the many small operations. The rates are those of the ``compute`` table of the quick and
gallery profiles (docs/cluster.md has the comparison); a processor at half their speed takes twice
the time, which :data:`MARGIN` allows for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rungs.data import DatasetEntry, catalogue
from rungs.evaluation.definitions import CONVOLUTIONAL_PICTURES
from rungs.jobs import multiply_adds as convolutional
from rungs.jobs.packs import packs
from rungs.models import entry as model_entry
from rungs.study.code_prior_settings import prior_spec
from rungs.study.layers import Config
from rungs.study.runs import all_runs, runs
from rungs.study.settings import EvaluationSettings, RunSettings, evaluation_settings, resolve

#: multiply-adds a second of one core in fp32, all operations of large networks included
RATE = 33e9
#: seconds a training step costs beside its multiply-adds: at least so much, and more a layer
STEP_SECONDS, LAYER_SECONDS = 1.5e-3, 1.1e-3
#: multiply-adds a second of one core in convolutions of few channels, everything included
CONVOLUTION_RATE = 6.5e9
#: seconds to start a process and import torch
START_SECONDS = 4.0
#: seconds of a linear probe with one number of labels
PROBE_SECONDS = 15.0
#: requested time over estimated time
MARGIN = 3.0
#: memory that torch and its libraries take
BASE_MEMORY_MB = 500


@dataclass(frozen=True)
class Cost:
    """An estimate for one run: seconds of one core, memory at the peak, disk for its files, seconds
    for the prior of its codes."""

    training_seconds: float
    evaluation_seconds: float
    memory_mb: float
    disk_mb: float
    prior_seconds: float = 0.0

    @property
    def _seconds(self) -> dict[str, float]:
        """Stage -> its seconds, in the order of the stages."""
        return {
            "train": self.training_seconds,
            "prior": self.prior_seconds,
            "evaluate": self.evaluation_seconds,
        }

    def seconds(self, stage: str) -> float:
        """Seconds of a stage: ``train``, ``prior`` or ``evaluate``."""
        return self._seconds[stage]

    def seconds_from(self, stage: str) -> float:
        """Seconds from the start of a stage to the end of the last one."""
        stages = list(self._seconds)
        return sum(self._seconds[name] for name in stages[stages.index(stage) :])


def together(costs: Sequence[Cost]) -> Cost:
    """Several runs in one job: the sum of their times and files, the largest memory."""
    return Cost(
        sum(c.training_seconds for c in costs),
        sum(c.evaluation_seconds for c in costs),
        max(c.memory_mb for c in costs),
        sum(c.disk_mb for c in costs),
        sum(c.prior_seconds for c in costs),
    )


def multiply_adds(spec: RunSettings, pixels: int) -> tuple[int, int]:
    """Multiply-adds an image of one forward pass: what is done once an image, and once a draw.

    Counted for the hierarchical models, whose networks have two hidden layers a level.
    """
    latents, hidden = spec["network"]["latent_sizes"], spec["network"]["hidden_sizes"]

    def network(inputs: int, width: int, outputs: int) -> int:
        return inputs * width + width * width + width * outputs

    bottom_up = [
        network(size, width, 2 * units)
        for size, width, units in zip([pixels, *latents], hidden, latents, strict=False)
    ]
    top_down = sum(
        network(above, width, 2 * below)
        for below, above, width in zip(latents, latents[1:], hidden[1:], strict=False)
    )
    decoder = network(latents[0], hidden[0], pixels)
    if spec["network"].get("prior", "gaussian") != "gaussian":
        # the mixture's density at a draw; a multiply-add and an exponential a component
        decoder += spec["network"]["prior_components"] * (2 * latents[0] + 8)
    # a ladder's upward pass is deterministic; a bottom-up model samples from its second level on
    once = sum(bottom_up) if spec["model"] == "lvae" else bottom_up[0]
    return once, sum(bottom_up) - once + top_down + decoder


def estimate(config: Config, run: Any) -> Cost:
    """The cost of one run."""
    spec, evaluation = resolve(config, run), evaluation_settings(config, run)
    entry = catalogue(config)[run.dataset]
    if "convolutional" in spec["network"]:
        return _convolutional(spec, evaluation, prior_spec(config, run), entry)
    pixels = math.prod(entry.shape)
    once, each = multiply_adds(spec, pixels)
    training = spec["training"]
    draws = training["monte_carlo_samples"] * training["importance_samples"]
    if spec["network"].get("posterior") == "mixture":  # a draw of each component
        draws *= spec["network"]["posterior_components"]
    images = entry.train * training["epochs"]
    steps = images / training["batch_size"]
    train = 3 * images * (once + draws * each) / RATE
    train += steps * (STEP_SECONDS + spec["depth"] * LAYER_SECONDS)
    if spec["model"] == "vaegan":  # six passes of the discriminator, by trial
        train += 3e7 * images / RATE
    if spec["network"].get("prior") == "vamp":  # pseudo-inputs are encoded at every step
        train += 3 * steps * spec["network"]["prior_components"] * once / RATE
    test = min(evaluation["images"], entry.test)
    rows = test * (evaluation["samples"] + evaluation["unit_samples"])
    if not model_entry(spec["model"]).sampled:
        rows = test
    evaluate = (rows * each + (test + evaluation["train_images"]) * once) / RATE
    evaluate *= 1.4  # log-likelihoods and densities, which are no multiply-adds
    if run.axis == "latent" and run.size in evaluation["probe_latents"]:
        evaluate += PROBE_SECONDS * len(evaluation["probe_labels"])
    widest = max(pixels, *spec["network"]["hidden_sizes"])
    live = 12 * draws * training["batch_size"] * widest * (spec["depth"] + 2)
    live = max(live, 12 * evaluation["chunk_rows"] * widest)
    parameters = 4 * (once + each)
    memory = BASE_MEMORY_MB + (live + 6 * parameters + 8 * entry.train * pixels) / 1e6
    units = sum(spec["network"]["latent_sizes"])
    disk = (2 * parameters + 16 * training["epochs"] * units + 16 * test * units) / 1e6 + 1
    return Cost(train, evaluate, memory, disk)


def _convolutional(
    spec: RunSettings,
    evaluation: EvaluationSettings,
    prior: RunSettings | None,
    entry: DatasetEntry,
) -> Cost:
    """The cost of a run with convolutional networks, of its evaluation and of its prior."""
    once, each = convolutional.multiply_adds(spec)
    training = spec["training"]
    train = 3 * entry.train * training["epochs"] * (once + each) / CONVOLUTION_RATE
    test = min(evaluation["images"], entry.test)
    draws = evaluation["samples"] if "latent_sizes" in spec["network"] else 2
    evaluate = test * (once + draws * each) / CONVOLUTION_RATE
    pictures = CONVOLUTIONAL_PICTURES * convolutional.sampling_multiply_adds(spec)
    evaluate += pictures / CONVOLUTION_RATE
    learning = 0.0
    if prior is not None:
        images = entry.train * prior["training"]["epochs"]
        learning = 3 * images * convolutional.prior_multiply_adds(prior) / CONVOLUTION_RATE
    pixels = math.prod(entry.shape)
    live = 4e-6 * 60 * training["batch_size"] * convolutional.widest(spec)
    memory = BASE_MEMORY_MB + live + 8e-6 * entry.train * pixels
    return Cost(train, evaluate, memory, 5 + 2e-6 * entry.train * pixels, learning)


def mem_mb(memory: float, attempt: int) -> int:
    """Memory to ask for: half as much again, and more on a retry."""
    return round(1.5 * memory * attempt)


def runtime_minutes(seconds: float, attempt: int) -> int:
    """Minutes to ask for: with a margin for slower processors, and more on a retry."""
    return round((MARGIN * (seconds + START_SECONDS) / 60 + 5) * attempt)


def summarise(config: Config) -> dict[str, float]:
    """Totals of a configuration: runs, jobs, core-hours, GPU-hours, disk."""
    everything = all_runs(config)
    costs = [estimate(config, run) for run in everything]
    pack = config["compute"]["pack"]
    shards = config["compute"]["shards"]
    asked = set(runs(config))
    jobs = 2 * len(packs(config)) if pack > 1 else len(everything) + len(asked)
    jobs += len(asked) * shards if shards > 1 else 0
    jobs += sum(1 for cost in costs if cost.prior_seconds) if pack == 1 else 0
    # the rate is one core's, whatever the number of threads
    train = sum(cost.training_seconds + cost.prior_seconds for cost in costs) / 3600
    evaluate = sum(
        c.evaluation_seconds for c, r in zip(costs, everything, strict=True) if r in asked
    )
    evaluate /= 3600
    starts = jobs * START_SECONDS / 3600
    total = train + evaluate + starts
    on_gpu = config["compute"]["device"] == "cuda"
    return {
        "runs": len(everything),
        "submitted_jobs": jobs,
        "training_core_hours": 0.0 if on_gpu else train,
        "evaluation_core_hours": evaluate,
        "core_hours": starts + evaluate if on_gpu else total,
        "gpu_hours": train if on_gpu else 0.0,
        "longest_run_hours": max((c.training_seconds for c in costs), default=0.0) / 3600,
        "peak_memory_mb": max((c.memory_mb for c in costs), default=0.0),
        "disk_gb": sum(cost.disk_mb for cost in costs) / 1e3,
    }
