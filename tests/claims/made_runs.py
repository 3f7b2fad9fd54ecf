"""Runs whose evaluations are made up, so that a claim holds, fails or is not decided by construction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rungs.claims import claims
from rungs.claims.core import Claim, Need, Part, StoredRun
from rungs.claims.verdicts import Decision, PartDecision, decide
from rungs.storage.result_file import Stored

CLAIMS = {claim.name: claim for claim in claims()}
#: part of a claim -> the part
PARTS: dict[tuple[str, str], Part] = {
    (claim.name, part.name): part for claim in claims() for part in claim.parts
}
SEEDS = (0, 1, 2)
#: sizes where the document states none
SIZES = {"depth": (2, 5), "latent": (4,), "codes": (64,)}

Arrays = dict[str, np.ndarray]
#: arrays of each need of a claim, by its name in the part, made with the seed's random numbers
Maker = Callable[[np.random.Generator], Mapping[str, Arrays]]


def run(
    variant: str,
    size: int,
    arrays: Arrays,
    *,
    axis: str = "latent",
    seed: int = 0,
    dataset: str = "toy",
    before: Arrays | None = None,
    continued: bool = True,
    shape: Sequence[int] = (28, 28),
) -> StoredRun:
    """Make a run.

    Args:
        arrays: of its evaluation.
        before: those that differ in the evaluation before the continuation; by default none.
        continued: whether it has a continuation.
    """
    path = f"{dataset}/{variant}/{axis}{size}/seed{seed}"
    settings = {
        "run": path,
        "dataset": dataset,
        "variant": variant,
        "axis": axis,
        "size": size,
        "seed": seed,
        "depth": size if axis == "depth" else 1,
        "network": {"shape": list(shape)},
    }
    attributes = {"run": settings}
    earlier = Stored(Path("before"), arrays | (before or {}), attributes)
    return StoredRun(
        Stored(Path("training"), {}, attributes),
        Stored(Path("evaluation"), arrays, attributes),
        earlier if continued else None,
    )


def size_of(need: Need) -> int:
    """The size at which the claims find a need, where the profile has the document's own."""
    return (need.sizes.stated or SIZES[need.sizes.axis])[need.place]


def runs_of(
    part: Part, maker: Maker, seeds: Sequence[int] = SEEDS, **which: Any
) -> list[StoredRun]:
    """The runs of a part for some seeds."""
    found = []
    for seed in seeds:
        made = maker(np.random.default_rng(seed))
        found += [
            run(
                need.variant,
                size_of(need),
                dict(made[name]),
                axis=need.sizes.axis,
                seed=seed,
                **which,
            )
            for name, need in part.needs.items()
        ]
    return found


def decide_part(
    name: tuple[str, str], maker: Maker, seeds: Sequence[int] = SEEDS, **which: Any
) -> PartDecision:
    """Decide one part from made runs; the claim's other parts may lack runs or arrays."""
    claim, part = CLAIMS[name[0]], PARTS[name]
    which.setdefault("dataset", f"{claim.data}-toy" if claim.data else "toy")
    found = decide(claim, which["dataset"], runs_of(part, maker, seeds, **which))
    return part_of(found, name[1])


def part_of(decision: Decision, name: str) -> PartDecision:
    """One part of a decision."""
    return next(decided for decided in decision.parts if decided.part.name == name)


def single(claim: Claim) -> Part:
    """The only part of a claim."""
    (part,) = claim.parts
    return part
