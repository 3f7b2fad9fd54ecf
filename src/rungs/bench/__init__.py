"""Measurements of our own speed, beside the machine's limits and beside pythae.

Every module has ``measure(scale) -> list[Row]``. Only ratios within one run mean anything: what is
compared is timed in turns, and a row gives the median of the repetitions. The room may import report
and the rooms below it; only the command line imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Row:
    """One measured quantity.

    Attributes:
        benchmark: what was measured.
        subject: of whom: ours, pythae, the limit, ...
        value: the median, in ``unit``.
        unit: of ``value``.
        ratio: ``value`` against the row that ``against`` names, in the direction in which more is
            better.
        against: what the ratio is to.
        spread: the quartiles of the repetitions over their median, half their distance.
        note: what else there is to know.
    """

    benchmark: str
    subject: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""
    spread: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Scale:
    """The extent of a measurement.

    Attributes:
        repetitions: of each timing, at least 2.
        share: of the full work (epochs, samples); the tests use a small one.
        threads: of one process.
    """

    repetitions: int = 5
    share: float = 1.0
    threads: int = 1


#: name -> module; in this order
BENCHMARKS = {
    "limits": "rungs.bench.limits",
    "training": "rungs.bench.training",
    "likelihood": "rungs.bench.likelihood",
    "ensemble": "rungs.bench.ensemble",
    "precision": "rungs.bench.precision",
    "scaling": "rungs.bench.scaling",
    "mixture": "rungs.bench.mixture",
    "vq": "rungs.bench.vq",
    "cores": "rungs.bench.cores",
    "startup": "rungs.bench.startup",
}


@dataclass
class Report:
    """The rows of several benchmarks."""

    rows: list[Row] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """One row a measured quantity."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows])


def run(names: Sequence[str], scale: Scale) -> Report:
    """Measure, in the order of the registry."""
    report = Report()
    for name, module in BENCHMARKS.items():
        if name in names:
            report.rows += import_module(module).measure(scale)
    return report
