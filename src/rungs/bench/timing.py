"""Timing in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = {"aten.mm.default", "aten.addmm.default", "aten.bmm.default", "aten.addmm_.default"}


def in_turns(
    functions: Mapping[str, Callable[[], object]], repetitions: int
) -> dict[str, np.ndarray]:
    """Seconds of each function, ``[repetitions]``: one after the other, over and over, so that a
    slow minute of the machine falls on all of them. The first turn warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(repetitions + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: np.array(values) for name, values in seconds.items()}


def spread(seconds: np.ndarray) -> float:
    """Half the distance of the quartiles over the median."""
    low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return float((high - low) / 2 / middle)


class _Recorder(TorchDispatchMode):
    """Notes the factors' shapes, strides and types of every matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.products: list[list[tuple[torch.Size, tuple[int, ...], torch.dtype]]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN204
        if str(func) in PRODUCTS:
            factors = [a for a in args if isinstance(a, Tensor)][-2:]
            self.products.append([(f.shape, f.stride(), f.dtype) for f in factors])
        return func(*args, **(kwargs or {}))


class Products:
    """The matrix products that a piece of work makes, to be done again alone.

    Their time is the limit of the arithmetic in use: the same shapes, layouts and types, operands
    and results allocated beforehand, nothing else.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        recorder = _Recorder()
        with recorder:
            work()
        self._operands: list[tuple[Tensor, Tensor, Tensor]] = []
        self.operations = 0
        made: dict[object, tuple[Tensor, Tensor, Tensor]] = {}
        for number, (left, right) in enumerate(recorder.products):
            # a hundred different operands stand for what would be in the caches of the real work
            key = (left, right, number % 100)
            if key not in made:
                a, b = (torch.empty_strided(s, t, dtype=d).normal_() for s, t, d in (left, right))
                made[key] = a, b, torch.empty((*a.shape[:-1], b.shape[-1]), dtype=a.dtype)
            self._operands.append(made[key])
            a, b, _ = made[key]
            self.operations += 2 * a.numel() * b.shape[-1]

    def __len__(self) -> int:
        return len(self._operands)

    def __call__(self) -> None:
        """Do all the products."""
        with torch.no_grad():
            for a, b, out in self._operands:
                torch.matmul(a, b, out=out)
