"""L_5000 of a trained VAE: ours beside pythae's estimator and beside the decoder's products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rungs.bench import Row, Scale, peers
from rungs.bench.data import PIXELS, UNITS, images, profile, settings_of
from rungs.bench.timing import Products, in_turns, spread
from rungs.evaluation.likelihood import estimate
from rungs.models.arithmetic import bfloat16_in_hardware, set_arithmetic, set_decoding_arithmetic
from rungs.numerics.torch_setup import prepare_process
from rungs.training.trainer import Trainer

SAMPLES, IMAGES = 5000, 4


def trained(train: Tensor, share: float) -> Any:
    """The comparison's VAE after a few hundred steps."""
    epochs = max(1, round(share * 3 * 60_000 / len(train)))
    settings = settings_of("vae", 1, epochs=epochs, batch_size=256)
    trainer = Trainer(settings, train, "cpu")
    for _ in range(epochs):
        trainer.run_epoch()
    trainer.finish()
    return trainer.model


def measure(scale: Scale) -> list[Row]:
    """Milliseconds an image, the value, and what bfloat16 does to it on the same samples."""
    prepare_process(scale.threads)
    name, train, test = images()
    model = trained(train, min(scale.share, 1.0))
    samples = max(100, int(SAMPLES * scale.share) // 100 * 100)
    x = test[:: max(1, len(test) // IMAGES)][:IMAGES]
    rows_at_once = profile("paper")["evaluation"]["chunk_rows"]
    values: dict[str, list[float]] = {}

    def ours(kind: str) -> Any:
        def work() -> None:
            set_decoding_arithmetic(model, kind)
            number = len(values.setdefault(kind, []))
            found = estimate(model, x, samples, number, rows_at_once)
            values[kind].append(float(found.lk.mean()))
            set_arithmetic(model, "float32")

        return work

    functions = {"ours, float32": ours("float32")}
    if bfloat16_in_hardware("cpu"):
        functions["ours, bfloat16"] = ours("bfloat16")
    if peers.available():
        peer = peers.wrap(model, PIXELS, UNITS).eval()

        def theirs() -> None:
            torch.manual_seed(len(values.setdefault("pythae", [])))
            with torch.no_grad():
                values["pythae"].append(float(peer.get_nll(x, samples)))

        functions["pythae"] = theirs
    seconds = in_turns(functions, scale.repetitions)
    medians = {s: 1e3 * float(np.median(v)) / len(x) for s, v in seconds.items()}
    what = f"L_{samples} of the VAE, {name}"
    rows = []
    for subject, found in seconds.items():
        kind = subject.removeprefix("ours, ")
        note = ""
        if kind in values:
            error = np.std(values[kind], ddof=1) / np.sqrt(len(values[kind]))
            note = f"L_{samples} of {len(x)} images {np.mean(values[kind]):.3f} (s.e. {error:.3f})"
        against = "pythae" if "pythae" in medians and subject != "pythae" else ""
        ratio = medians["pythae"] / medians[subject] if against else None
        value = medians[subject]
        rows.append(Row(what, subject, value, "ms/image", ratio, against, spread(found), note))

    def work() -> object:
        return estimate(model, x, samples, 0, rows_at_once)

    rows += share_of_limit(what, work, len(x), scale)
    return rows + reduced_precision(model, test, scale)


def share_of_limit(what: str, work: Callable[[], object], count: int, scale: Scale) -> list[Row]:
    """The estimate for ``count`` images beside the matrix products that it makes, alone: more turns
    than the peer has, whose ratio is further from its aim."""
    functions: dict[str, Callable[[], object]] = {"ours": work, "limit": Products(work)}
    seconds = in_turns(functions, 4 * scale.repetitions)
    ours, limit = (1e3 * float(np.median(found)) / count for found in seconds.values())
    note = f"in turns with ours at {ours:.1f} ms/image"
    return [
        Row(what, "limit, float32", limit, "ms/image", spread=spread(seconds["limit"]), note=note),
        Row(what, "share of the limit", limit / ours, "of float32", spread=spread(seconds["ours"])),
    ]


def reduced_precision(model: Any, test: Tensor, scale: Scale) -> list[Row]:
    """L_k in float32 and with products rounded to bfloat16 (emulated where the processor lacks it)
    against float64, on the same samples."""
    x, k = test[: max(2, int(40 * scale.share))], 100
    found = {}
    for kind in ("float64", "float32", "bfloat16"):
        set_decoding_arithmetic(model, "float32" if kind == "float64" else kind)
        with _DoubleModel(model, kind == "float64") as wide:
            found[kind] = estimate(wide, x.double() if kind == "float64" else x, k, 0, 1000).lk
    set_arithmetic(model, "float32")
    rows = []
    for kind in ("float32", "bfloat16"):
        shift = found[kind] - found["float64"]
        rows.append(
            Row(
                f"L_{k} against float64, same samples",
                kind,
                float(shift.mean()),
                "nats",
                note=f"spread {float(shift.std()):.4f} an image, {len(x)} images",
            )
        )
    return rows


class _DoubleModel:
    """The model in float64 for a while; its noise, drawn in float32, is widened."""

    def __init__(self, model: Any, wide: bool) -> None:
        self.model, self.wide = model, wide
        self.latent_sizes = model.latent_sizes

    def __enter__(self) -> Any:
        if not self.wide:
            return self.model
        self.model.double()
        return self

    def __exit__(self, *error: object) -> None:
        self.model.float()

    def encode(self, x: Tensor) -> Any:
        return self.model.encode(x)

    def draw(self, context: Any, noise: list[Tensor]) -> Any:
        return self.model.draw(context, [n.double() for n in noise])

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        found: Tensor = self.model.log_likelihood(x, z)
        return found
