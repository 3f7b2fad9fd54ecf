"""Parallel runs: two processes on two cores against one."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.synchronize import Barrier

import numpy as np

from rungs.bench import Row, Scale


def measure(scale: Scale) -> list[Row]:
    """Images a second of the depth-5 ladder in one process, and summed over two."""
    if (os.cpu_count() or 1) < 2:
        return []
    what = "parallel runs of lvae-bn-wu depth 5, one thread each"
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(max(2, scale.repetitions // 2)):
        for count in rates:
            rates[count].append(_together(count, scale.share))
    single = float(np.median(rates[1]))
    return [
        Row(
            what,
            f"{n} processes",
            float(np.median(v)),
            "images/s",
            float(np.median(v)) / single,
            "1",
        )
        for n, v in rates.items()
    ]


def _together(count: int, share: float) -> float:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(count), context.Queue()
    workers = [context.Process(target=_work, args=(start, results, n, share)) for n in range(count)]
    for worker in workers:
        worker.start()
    rates = [results.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    return sum(rates)


def _work(start: Barrier, results: multiprocessing.Queue[float], seed: int, share: float) -> None:
    from rungs.bench.data import images, settings_of
    from rungs.numerics.torch_setup import prepare_process
    from rungs.training.trainer import Trainer

    prepare_process(1)
    train = images()[1][: 256 * max(2, int(16 * share))]
    trainer = Trainer(settings_of("lvae-bn-wu", 5, seed, epochs=10_000), train, "cpu")
    trainer.run_epoch()
    start.wait(timeout=300)
    epochs = max(2, int(8 * share))
    started = time.perf_counter()
    for _ in range(epochs):
        trainer.run_epoch()
    results.put(epochs * len(train) / (time.perf_counter() - started))
