"""The cost of a mixture prior: time and memory of a training step with K components."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

from rungs.bench import Row, Scale

COMPONENTS = (1, 10, 100, 1000)
BATCH, PIXELS, HIDDEN, LATENT = 256, 784, 512, 10
#: steps before the clock starts, steps that it measures, repetitions of which the fastest counts
WARM_UP, STEPS, REPETITIONS = 5, 20, 3
NETWORK = {
    "latent_sizes": [LATENT],
    "hidden_sizes": [HIDDEN],
    "batch_norm": False,
    "prior": "mixture",
    "posterior": "diagonal",
    "posterior_components": 1,
    "likelihood": "bernoulli",
}
SETTINGS = {"monte_carlo_samples": 1, "importance_samples": 1}


def measure(scale: Scale) -> list[Row]:
    """A row a number of components and estimate of the KL: milliseconds of a step (forward, backward,
    Adam; batch 256, z = 10, hidden 512, 784 pixels, one thread), how many times as long as with K = 1,
    and the memory that the process took at most beyond what it took before the first step."""
    rows: list[Row] = []
    for divergence in ("sampled", "upper", "lower"):
        first = None
        for components in COMPONENTS if scale.share >= 1 else COMPONENTS[:2]:
            found = in_own_process(components, divergence)
            first = first or found["milliseconds"]
            rows.append(
                Row(
                    f"training step with a mixture prior, KL {divergence}",
                    f"K = {components}",
                    found["milliseconds"],
                    "ms",
                    found["milliseconds"] / first,
                    "K = 1",
                    note=", ".join(f"{n} {v:.1f}" for n, v in found.items() if n != "milliseconds"),
                )
            )
    return rows


def in_own_process(components: int, divergence: str) -> dict[str, float]:
    """:func:`step` in a process of its own: peak memory only ever rises."""
    code = f"from rungs.bench import mixture; mixture.report({components}, {divergence!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def report(components: int, divergence: str) -> None:
    """Print :func:`step` as JSON."""
    print(json.dumps(step(components, divergence)))


def step(components: int, divergence: str) -> dict[str, float]:
    """Time and memory of a training step with ``components``."""
    import torch

    from rungs.models import build
    from rungs.models.networks import initialise
    from rungs.numerics.torch_setup import prepare_process

    prepare_process(1)
    random = torch.Generator().manual_seed(0)
    network = NETWORK | {"prior_components": components, "divergence": divergence}
    model: Any = build("single", PIXELS, network)
    initialise(model, random)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    x = (torch.rand(BATCH, PIXELS, generator=random) < 0.2).float()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def once() -> None:
        noise = model.training_noise(BATCH, SETTINGS, random)
        loss = model.objective(x, noise, SETTINGS, 1.0).loss
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    for _ in range(WARM_UP):
        once()
    times = []
    for _ in range(REPETITIONS):
        started = time.process_time()
        for _ in range(STEPS):
            once()
        times.append((time.process_time() - started) / STEPS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"milliseconds": 1e3 * min(times), "memory_mb": (peak - before) / 1024}
