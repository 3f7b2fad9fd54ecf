"""Runs trained side by side against the same runs one after the other."""

from __future__ import annotations

import numpy as np

from rungs.bench import Row, Scale
from rungs.bench.data import images, settings_of
from rungs.bench.timing import in_turns, spread
from rungs.numerics.torch_setup import prepare_process
from rungs.study.settings import NetworkSettings
from rungs.training.side_by_side import Ensemble
from rungs.training.trainer import Trainer

SIZES: dict[str, NetworkSettings] = {
    "quick's widths": {"latent_sizes": [32, 16, 8, 4, 2], "hidden_sizes": [128, 64, 32, 32, 16]},
    "the paper's widths": {},
}


def measure(scale: Scale) -> list[Row]:
    """Images a second, summed over the members."""
    prepare_process(scale.threads)
    _, train, _ = images()
    train = train[: 256 * max(2, int(8 * scale.share))]
    rows = []
    for label, network in SIZES.items():
        wanted = [settings_of("lvae-bn-wu", 5, seed, epochs=10_000) for seed in range(4)]
        for settings in wanted:
            settings["network"] |= network
        functions = {"1 run": Trainer(wanted[0], train, "cpu").run_epoch}
        for count in (2, 4):
            members = [Trainer(settings, train, "cpu") for settings in wanted[:count]]
            functions[f"{count} runs side by side"] = Ensemble(members).run_epoch
        seconds = in_turns(functions, scale.repetitions)
        single = len(train) / float(np.median(seconds["1 run"]))
        for subject, found in seconds.items():
            rate = int(subject.split()[0]) * len(train) / float(np.median(found))
            what = f"ensemble of lvae-bn-wu depth 5, {label}"
            rows.append(Row(what, subject, rate, "images/s", rate / single, "1 run", spread(found)))
    return rows
