"""The cost of a run: an estimate that each family of models makes of its own networks.

The registry's entry of a model names its function, from a :class:`Request` to a :class:`Cost`. Time is
counted, not guessed: multiply-adds over the rate that one core reaches, besides an overhead a step for the
many small operations. The cores are those of :data:`CORES`, measured by ``make bench`` (docs/speed.md;
docs/cluster.md compares estimates with measurements). Nothing here imports torch, for rules estimate the
cost of thousands of runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rungs.numerics.nested_ks import nested_ks

#: arithmetic of products (``compute.precision``) -> the core for which its estimate holds
CORES = {
    "float32": "66 GFLOP/s in float32 (AVX2)",
    "bfloat16": "109 GFLOP/s in float32, 462 in bfloat16 (AVX-512)",
}
#: memory that torch and its libraries take
BASE_MEMORY_MB = 500
#: bytes for each value of the images: of all training images in training and, while they are read, in an
#: evaluation; of the training and test images that an evaluation keeps; and of both in a probe, for which
#: images up to :data:`SMALL_PIXELS` values are held in float64 (:mod:`rungs.evaluation.principal_components`)
TRAINED, READ, KEPT, TESTED, PROBED_SMALL, PROBED_LARGE = 8, 12, 12, 24, 40, 8
SMALL_PIXELS = 3072
#: bytes of what a probe holds in blocks, and classes whose labelled images it is expected to hold
PROBE_BLOCKS, CLASSES = 3e8, 10


@dataclass(frozen=True)
class Request:
    """A run whose cost is to be estimated.

    Attributes:
        settings: of the run, resolved.
        evaluation: the configuration's ``evaluation`` section as the run sees it.
        prior: the settings of the training of the prior of its codes, if one is learnt.
        epochs, prior_epochs: of the two trainings, those of a continuation included.
        continuation_epochs: those of the run's continuation; with one the run is measured twice.
        train_images, test_images: the number of images in the data set.
        pixels: of an image, all channels.
        sampled: whether the likelihood is estimated by sampling.
        drawn: the pictures that the evaluation of a model draws pixel by pixel.
        arithmetic: of products, a key of :data:`CORES`. A family whose products are not rounded does not
            look at it: its cost is that of float32.
    """

    settings: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    prior: Mapping[str, Any] | None
    epochs: int
    prior_epochs: int
    continuation_epochs: int
    train_images: int
    test_images: int
    pixels: int
    sampled: bool
    drawn: int
    arithmetic: str = "float32"

    @property
    def evaluations(self) -> int:
        """How many times a run is measured: before and after its continuation, or once."""
        return 2 if self.continuation_epochs else 1

    @property
    def evaluated_images(self) -> int:
        """The number of test images that the evaluation takes."""
        return min(int(self.evaluation["images"]), self.test_images)

    @property
    def samples(self) -> float:
        """Samples of L_k that a test image takes on average (:mod:`rungs.evaluation.two_phase`)."""
        k, every = int(self.evaluation["samples"]), int(self.evaluation.get("refine_every", 1))
        fewer = [k, *nested_ks(k)][-2]
        return (k + (every - 1) * fewer) / every

    @property
    def probed(self) -> bool:
        """Whether the evaluation probes the encoder with labelled images."""
        settings, evaluation = self.settings, self.evaluation
        return bool(
            settings["axis"] == "latent" and settings["size"] in evaluation.get("probe_latents", ())
        )

    @property
    def slopes(self) -> bool:
        """Whether the evaluation estimates the slope of the reconstruction in the scale of the latents."""
        settings, network = self.settings, self.settings["network"]
        gaussian = (network.get("prior"), network.get("posterior")) == ("gaussian", "diagonal")
        sizes = self.evaluation.get("stationarity_latents", ())
        return bool(settings["axis"] == "latent" and settings["size"] in sizes and gaussian)

    @property
    def image_bytes(self) -> float:
        """Bytes of memory for the images at the peak of training or evaluation, whichever is higher."""
        kept = min(int(self.evaluation["train_images"]), self.train_images)
        tested = self.evaluated_images
        measured: float = READ * self.train_images + KEPT * kept + TESTED * tested
        if self.probed:
            small = self.pixels <= SMALL_PIXELS
            measured += (PROBED_SMALL if small else PROBED_LARGE) * (kept + tested)
            # their singular vectors are as large as they, and the covariance has a row a value
            labelled = min(kept, CLASSES * max(self.evaluation["probe_labels"], default=0))
            measured += 32 * labelled + (24 * self.pixels if small else PROBE_BLOCKS / self.pixels)
        return self.pixels * max(TRAINED * self.train_images, measured)


@dataclass(frozen=True)
class Cost:
    """An estimate for one run.

    Attributes:
        training_seconds, evaluation_seconds, prior_seconds: of one core; the last is for the prior of its
            codes.
        memory_mb: at the peak.
        disk_mb: of its files.
    """

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
