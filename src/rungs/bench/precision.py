"""What training in bfloat16 does to L_k, over three seeds."""

from __future__ import annotations

from rungs.bench import Row, Scale
from rungs.bench.data import images, spec_of
from rungs.evaluation.likelihood import estimate
from rungs.precision import bfloat16_in_hardware, set_arithmetic
from rungs.runtime import prepare_process
from rungs.training import Trainer

SEEDS, SAMPLES, IMAGES = 3, 100, 500


def measure(scale: Scale) -> list[Row]:
    """L_100 after a short training of the depth-5 ladder, both ways.

    Where the processor lacks bfloat16 its products are emulated, with the same results and at a
    tenth of the speed; the networks and the number of steps are smaller there.
    """
    prepare_process(scale.threads)
    name, train, test = images()
    hardware = bfloat16_in_hardware("cpu")
    epochs = max(1, round(20 * scale.share))
    train = train[:5000]
    found: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        spec = spec_of("lvae-bn-wu", 5, seed, epochs=epochs, annealing=0.7)
        if not hardware:
            spec["network"] |= {
                "latent_sizes": [32, 16, 8, 4, 2],
                "hidden_sizes": [128, 64, 32, 32, 16],
            }
        for kind in ("float32", "bfloat16"):
            trainer = Trainer(spec, train, "cpu")
            set_arithmetic(trainer.model, kind)
            for _ in range(epochs):
                trainer.run_epoch()
            trainer.finish()
            set_arithmetic(trainer.model, "float32")
            lk = estimate(trainer.model, test[:IMAGES], SAMPLES, seed, 1000).lk
            found.setdefault(kind, []).append(float(lk.mean()))
    widths = "the paper's" if hardware else "quick's"
    return [
        Row(
            f"L_{SAMPLES} after {epochs} epochs on 5,000 images of {name}, {widths} widths",
            kind,
            sum(values) / SEEDS,
            "nats",
            note=f"{SEEDS} seeds: " + ", ".join(f"{value:.2f}" for value in values),
        )
        for kind, values in found.items()
    ]
