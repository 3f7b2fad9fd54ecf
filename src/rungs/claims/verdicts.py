"""The rule that turns runs into verdicts: of every part, and of the claim.

A part is decided by three seeds or more. Its interval is widened by what the statistic may still move:
by its drift, which is its change by the continuation of the runs, and by what the estimated remaining
gaps of L_k make of it. Runs without continuation have no known drift, and what is not known cannot decide:
the part stays undecided unless drift does not count for it.

A claim holds if all its parts do. One part that is known to fail settles it, whatever is not known of
the others, so the parts' verdicts are, from the worst on: not reproduced, undecided, reproduced; the
claim has the worst of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rungs.claims.arrays import LK_GAP, OF_LABELS, closed, gap_is_missing, raised
from rungs.claims.core import (
    AGAINST,
    FOR,
    NOT_REPRODUCED,
    REPRODUCED,
    UNDECIDED,
    Claim,
    Need,
    Part,
    Sizes,
    StoredRun,
)
from rungs.claims.intervals import MIN_SEEDS, Measurement, judge, measure
from rungs.claims.resampling import UNIFORM, Evaluations, Statistic
from rungs.errors import StoreError
from rungs.storage.result_file import Stored
from rungs.study.runs import spread

#: how the basis of a part or a claim begins of which the profile has no runs
LACKING = "the profile lacks runs"
#: verdicts from the worst on
WORST_FIRST = (NOT_REPRODUCED, UNDECIDED, REPRODUCED)
LEANINGS = {REPRODUCED: FOR, NOT_REPRODUCED: AGAINST, UNDECIDED: ""}
NOTHING = Measurement(math.nan, math.nan, math.nan, 0)

#: the runs of one seed, by their names in a part
Found = dict[str, StoredRun]
#: the sizes at which a part is decided; none where there are no candidates
Chosen = dict[Sizes, tuple[int, ...]]


@dataclass(frozen=True)
class PartDecision:
    """A part decided on one data set.

    Attributes:
        measured: mean over seeds and interval, widened by drift and gap.
        drift: change of the statistic by the continuation, mean over seeds; NaN if it is not known.
        gap: change of the statistic if every L_k were closer to log p(x) by its estimated gap.
        verdict: one of :data:`rungs.claims.core.VERDICTS`.
        leaning: ``for``, ``against`` or empty; with fewer than three seeds only.
        basis: what the verdict rests on, or why there is none.
        sizes: the sizes at which the part was decided, in words.
        runs: paths of the runs.
        settings: of the runs of the first seed, by their names in the part.
    """

    part: Part
    measured: Measurement
    drift: float
    gap: float
    verdict: str
    leaning: str
    basis: str
    sizes: str
    runs: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """A claim decided on one data set; attributes as of :class:`PartDecision`."""

    claim: Claim
    dataset: str
    parts: tuple[PartDecision, ...]
    verdict: str
    leaning: str
    basis: str

    @property
    def seeds(self) -> int:
        """The fewest seeds of any part."""
        return min(decided.measured.seeds for decided in self.parts)

    @property
    def runs(self) -> tuple[str, ...]:
        """The paths of all runs."""
        return tuple(sorted({run for decided in self.parts for run in decided.runs}))


def decide(claim: Claim, dataset: str, runs: Sequence[StoredRun]) -> Decision:
    """Decide a claim from the runs of a data set."""
    found = _of(dataset, runs)
    parts = [_decide_part(part, found, sizes) for part, sizes in _sized(claim, found)]
    parts = _under_conditions(parts)
    verdict = next(v for v in WORST_FIRST if v in {decided.verdict for decided in parts})
    leaning = _leaning(parts) if verdict == UNDECIDED else ""
    return Decision(claim, dataset, tuple(parts), verdict, leaning, _claim_basis(parts, verdict))


def rests_on(claim: Claim, dataset: str, runs: Sequence[StoredRun]) -> set[str]:
    """Return the paths of the runs on which a claim about a data set rests; their settings are read, and
    none of their arrays."""
    found = _of(dataset, runs)
    return {
        run.name
        for part, sizes in _sized(claim, found)
        for chosen in _by_seed(part, found, sizes).values()
        for run in chosen.values()
    }


def _of(dataset: str, runs: Sequence[StoredRun]) -> list[StoredRun]:
    return [run for run in runs if run.settings["dataset"] == dataset]


def _sized(claim: Claim, runs: Sequence[StoredRun]) -> Iterator[tuple[Part, Chosen]]:
    """Yield the parts of a claim with their sizes: those of all parts together, else of the part alone."""
    together = choose_sizes(claim.parts, runs)
    for part in claim.parts:
        alone = choose_sizes([part], runs)
        yield part, {each: together[each] or sizes for each, sizes in alone.items()}


def _under_conditions(parts: Sequence[PartDecision]) -> list[PartDecision]:
    """Leave everything undecided where a condition of the claim is not shown to hold."""
    unmet = [d for d in parts if d.part.condition and d.verdict != REPRODUCED]
    if not unmet:
        return list(parts)
    testable = all(decided.leaning == FOR for decided in unmet)
    names = " and ".join(decided.part.name for decided in unmet)
    found = []
    for decided in parts:
        basis = decided.basis
        if decided.verdict == NOT_REPRODUCED and decided.part.condition:
            basis = f"{basis}; the condition is not met"
        elif not (decided.part.condition or testable or basis.startswith(LACKING)):
            basis = f"{basis}; not testable without {names}"
        leaning = decided.leaning if testable or decided.part.condition else ""
        found.append(replace(decided, verdict=UNDECIDED, leaning=leaning, basis=basis))
    return found


def _leaning(parts: Sequence[PartDecision]) -> str:
    """Return where an undecided claim leans: against it with any of its parts, for it with all."""
    if any(decided.leaning == AGAINST for decided in parts if not decided.part.condition):
        return AGAINST
    favourable = all(d.leaning == FOR or d.verdict == REPRODUCED for d in parts)
    return FOR if favourable else ""


def _claim_basis(parts: Sequence[PartDecision], verdict: str) -> str:
    if all(decided.basis.startswith(LACKING) for decided in parts):
        needs = dict.fromkeys(
            need for decided in parts for need in decided.basis.split(": ")[1].split(", ")
        )
        return f"{LACKING}: {', '.join(needs)}"
    worst = [decided for decided in parts if decided.verdict == verdict]
    if len(parts) == 1:
        return parts[0].basis
    if verdict == REPRODUCED:
        return "every part"
    return "; ".join(f"{decided.part.name}: {decided.basis}" for decided in worst)


# --- which runs ---------------------------------------------------------------------------------


def choose_sizes(parts: Sequence[Part], runs: Sequence[StoredRun]) -> Chosen:
    """Choose the sizes at which some parts are decided together, by the rule of :class:`Sizes`."""
    variants: dict[Sizes, set[str]] = {}
    for part in parts:
        for need in part.needs.values():
            variants.setdefault(need.sizes, set()).add(need.variant)
    return {sizes: _choose(sizes, names, runs) for sizes, names in variants.items()}


def _choose(sizes: Sizes, variants: set[str], runs: Sequence[StoredRun]) -> tuple[int, ...]:
    available = [
        {
            run.settings["size"]
            for run in runs
            if (run.settings["variant"], run.settings["axis"]) == (variant, sizes.axis)
        }
        for variant in variants
    ]
    candidates = sorted(size for size in set.intersection(*available) if size >= sizes.least)
    count = len(sizes.stated) or sizes.count
    if sizes.stated and set(sizes.stated) <= set(candidates):
        return sizes.stated
    if sizes.exact or len(candidates) < count:
        return sizes.stated
    return tuple(spread(candidates, count))


def _size(need: Need, sizes: Chosen) -> int | None:
    chosen = sizes[need.sizes]
    return chosen[need.place] if need.place < len(chosen) else None


def _by_seed(part: Part, runs: Sequence[StoredRun], sizes: Chosen) -> dict[int, Found]:
    """Return for every seed those runs of a part that it has."""
    found: dict[int, Found] = {}
    for trained in runs:
        run = trained.settings
        for name, need in part.needs.items():
            wanted = (need.variant, need.sizes.axis, _size(need, sizes))
            if (run["variant"], run["axis"], run["size"]) == wanted:
                found.setdefault(run["seed"], {})[name] = trained
    return dict(sorted(found.items()))


def _lacking(part: Part, by_seed: dict[int, Found], sizes: Chosen) -> str:
    """Return the basis of a part for which no seed has all runs."""
    present = {name for chosen in by_seed.values() for name in chosen}
    if present == part.needs.keys():
        return "the runs have no seed in common"
    needs = [
        need.variant
        if (size := _size(need, sizes)) is None
        else f"{need.variant} at {need.sizes.axis} {size}"
        for name, need in part.needs.items()
        if name not in present
    ]
    return f"{LACKING}: {', '.join(dict.fromkeys(needs))}"


def _sizes_in_words(part: Part, sizes: Chosen) -> str:
    """Return the sizes of a part.

    For example ``latent 2, 10`` or ``codes 64; latent 4``.
    """
    by_axis: dict[str, set[int]] = {}
    for need in part.needs.values():
        size = _size(need, sizes)
        if size is not None:
            by_axis.setdefault(need.sizes.axis, set()).add(size)
    return "; ".join(f"{a} {', '.join(map(str, sorted(found)))}" for a, found in by_axis.items())


# --- one part -----------------------------------------------------------------------------------


def _decide_part(part: Part, runs: Sequence[StoredRun], sizes: Chosen) -> PartDecision:
    by_seed = _by_seed(part, runs, sizes)
    complete = [chosen for chosen in by_seed.values() if len(chosen) == len(part.needs)]
    names = tuple(sorted({run.name for run in _runs(complete)}))
    settings = {name: run.settings for name, run in complete[0].items()} if complete else {}
    words = _sizes_in_words(part, sizes)

    def undecided(basis: str) -> PartDecision:
        nan = math.nan
        return PartDecision(part, NOTHING, nan, nan, UNDECIDED, "", basis, words, names, settings)

    if not complete:
        return undecided(_lacking(part, by_seed, sizes))
    try:
        plain = measure(part.statistic, [_final(chosen) for chosen in complete], part.step)
    except StoreError as error:
        return undecided(_unmeasured(complete, error))
    drift, unknown = _drift(part, complete) if part.drift_counts else (math.nan, "")
    gap, no_gap = _gap(part, complete)
    unknown = "; ".join(filter(None, (unknown, no_gap)))
    by_drift, by_gap = (0.0 if math.isnan(by) else abs(by) for by in (drift, gap))
    measured = plain.widened(by_drift + by_gap)
    verdict = judge(measured, part.relation, part.margin)
    basis = f"{plain.seeds} seed{'s' * (plain.seeds > 1)}"
    leaning = ""
    if not measured.defined:
        basis = f"{basis}; the statistic is not defined"
    elif plain.seeds < MIN_SEEDS:
        verdict, leaning = UNDECIDED, LEANINGS[verdict]
    elif not unknown and verdict == UNDECIDED:
        basis += _spanning(part, plain, by_drift, by_gap)
    if unknown:
        verdict, basis = UNDECIDED, f"{basis}; {unknown}"
    return PartDecision(part, measured, drift, gap, verdict, leaning, basis, words, names, settings)


def _final(chosen: Found) -> Evaluations:
    return {name: run.evaluation for name, run in chosen.items()}


def _runs(complete: Sequence[Found]) -> list[StoredRun]:
    """Return the runs of all seeds."""
    return [run for chosen in complete for run in chosen.values()]


def _after(run: StoredRun) -> Stored:
    return run.evaluation


def _unmeasured(complete: Sequence[Found], error: StoreError) -> str:
    """Return why a part could not be measured."""
    labels = [
        run.evaluation.arrays["test/labels"]
        for run in _runs(complete)
        if "test/labels" in run.evaluation.arrays
    ]
    of_labels = any(name in str(error) for name in OF_LABELS)
    if of_labels and any((each < 0).any() for each in labels):
        return "the claim needs labels, which the data set does not have"
    return str(error)


def _drift(part: Part, complete: Sequence[Found]) -> tuple[float, str]:
    """Return the drift of a part; NaN where it is not known, and why it is not."""
    short = sorted({run.settings["variant"] for run in _runs(complete) if run.before is None})
    if short:
        return math.nan, f"drift not known: no continuation of {', '.join(short)}"

    def earlier(run: StoredRun) -> Stored:
        assert run.before is not None
        return run.before

    try:
        return _change(part.statistic, complete, earlier, _after), ""
    except StoreError as error:
        return math.nan, f"drift not known: before the continuation {error}"


def _gap(part: Part, complete: Sequence[Found]) -> tuple[float, str]:
    """Return by how much a part's statistic moves if the estimated gaps of L_k are closed; NaN where it
    rests on an L_k without such an estimate, and the variants of these."""
    if short := _without_gap(part, complete):
        return math.nan, f"gap of L_k not known: too few samples of {', '.join(short)}"
    if not any(LK_GAP in run.evaluation.arrays for run in _runs(complete)):
        return 0.0, ""
    return _change(part.statistic, complete, _after, lambda run: closed(run.evaluation)), ""


def _without_gap(part: Part, complete: Sequence[Found]) -> list[str]:
    """Return the variants on whose L_k a part rests though nothing estimates what it lacks.

    The part rests on it if a nat more of it alone changes the statistic.
    """
    found = set()
    for chosen in complete:
        evaluations = _final(chosen)
        for name, run in chosen.items():
            if gap_is_missing(run.evaluation):
                more = {**evaluations, name: raised(run.evaluation, 1.0)}
                plain, moved = (part.statistic(each, UNIFORM) for each in (evaluations, more))
                if not np.array_equal(plain, moved, equal_nan=True):
                    found.add(run.settings["variant"])
    return sorted(found)


def _change(
    statistic: Statistic,
    complete: Sequence[Found],
    old: Callable[[StoredRun], Stored],
    new: Callable[[StoredRun], Stored],
) -> float:
    """Return the change of a statistic from some evaluations to others, averaged over seeds."""

    def value(chosen: Found, which: Callable[[StoredRun], Stored]) -> float:
        found = statistic({name: which(run) for name, run in chosen.items()}, UNIFORM)[0]
        return float(np.max(found))

    return float(np.mean([value(chosen, new) - value(chosen, old) for chosen in complete]))


def _spanning(part: Part, plain: Measurement, drift: float, gap: float) -> str:
    """Return what alone widened an interval over the margin, for the basis; empty if the seeds' own
    interval spans it."""
    if judge(plain, part.relation, part.margin) == UNDECIDED:
        return ""
    causes = {f"the drift ({drift:.2g})": drift, f"the gap of L_k ({gap:.2g})": gap}
    enough = [
        name
        for name, by in causes.items()
        if judge(plain.widened(by), part.relation, part.margin) == UNDECIDED
    ]
    if enough:
        return f"; {' or '.join(enough)} spans the margin"
    return f"; {' and '.join(causes)} together span the margin"
