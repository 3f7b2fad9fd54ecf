"""The effect of training in bfloat16 on L_k, over three seeds."""

from __future__ import annotations

from rungs.bench import Row, Scale
from rungs.bench.data import images, profile
from rungs.evaluation.likelihood import estimate
from rungs.models.arithmetic import bfloat16_in_hardware, set_arithmetic
from rungs.numerics.torch_setup import prepare_process
from rungs.study.runs import Run
from rungs.study.settings import resolve
from rungs.training.trainer import Trainer

SEEDS, SAMPLES, IMAGES = 3, 100, 500


def measure(scale: Scale) -> list[Row]:
    """L_100 of the default profile's depth-5 ladder, trained to the end of its schedule both ways.

    Where the processor lacks bfloat16, its products are emulated. Less than the whole schedule
    decides nothing: twenty epochs give differences of a nat either way.
    """
    prepare_process(scale.threads)
    name, train, test = images()
    config = profile("quick")
    train = train[:4000]  # as many as the embedded digits have
    found: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        settings = resolve(config, Run("mnist5k", "lvae-bn-wu", 5, seed))
        epochs = max(1, round(settings["training"]["epochs"] * scale.share))
        settings["training"]["epochs"] = epochs
        for kind in ("float32", "bfloat16"):
            trainer = Trainer(settings, train, "cpu")
            set_arithmetic(trainer.model, kind)
            for _ in range(epochs):
                trainer.run_epoch()
            trainer.finish()
            set_arithmetic(trainer.model, "float32")
            lk = estimate(trainer.model, test[:IMAGES], SAMPLES, seed, 1000).lk
            found.setdefault(kind, []).append(float(lk.mean()))
    emulated = "" if bfloat16_in_hardware("cpu") else ", emulated"
    return [
        Row(
            f"L_{SAMPLES} of lvae-bn-wu at depth 5 after {epochs} epochs on {len(train)} images of {name}",
            kind + (emulated if kind == "bfloat16" else ""),
            sum(values) / SEEDS,
            "nats",
            note=f"{SEEDS} seeds: " + ", ".join(f"{value:.2f}" for value in values),
        )
        for kind, values in found.items()
    ]
