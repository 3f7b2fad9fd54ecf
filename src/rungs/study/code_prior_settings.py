"""Which prior is learnt over a trained run's codes: a training run of its own, in the folder
``prior`` of the run, by the same training loop (:mod:`rungs.training.code_prior`)."""

from __future__ import annotations

from typing import cast

from rungs.data.image_shape import ImageShape
from rungs.study.layers import Config, merge
from rungs.study.runs import Run
from rungs.study.settings import (
    NetworkSettings,
    RunSettings,
    TrainingSettings,
    prior_settings,
    resolve,
)

FOLDER = "prior"
#: what the prior's training takes from nowhere else: no KL term, one draw, gradients as they are
_TRAINING = {
    "warm_up": False,
    "monte_carlo_samples": 1,
    "importance_samples": 1,
}


def prior_spec(config: Config, run: Run) -> RunSettings | None:
    """All that training the prior of a run's codes rests on besides the trained run: the settings of
    a run of the model that the registry names. None for a model without codes, or where the
    configuration wants the uniform prior (``prior.learnt: false``)."""
    from rungs.models import entry

    spec = resolve(config, run)
    model = entry(spec["model"]).prior
    if not model:
        return None
    settings = prior_settings(config, run)
    if not settings["learnt"]:
        return None
    shape = ImageShape.of(spec["network"]["shape"])
    network = {"codes": run.size, "grid": list(shape.grid), **settings["network"]}
    training = merge(merge(config["training"], _TRAINING), settings["training"])
    return spec | {
        "run": f"{run.path}/{FOLDER}",
        "model": model,
        "network": cast(NetworkSettings, network),
        "training": cast(TrainingSettings, training),
        "continues": None,
    }
