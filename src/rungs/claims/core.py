"""The types of a claim: its statement, its parts, and the runs that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rungs.claims.resampling import Evaluations, Statistic
from rungs.storage.result_file import Stored
from rungs.study.settings import RunSettings, settings_of

REPRODUCED, NOT_REPRODUCED, UNDECIDED = "reproduced", "not reproduced", "undecided"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNDECIDED)
FOR, AGAINST = "for", "against"


@dataclass(frozen=True)
class Sizes:
    """The sizes at which a claim is decided; the configuration says which there are.

    Candidates are the sizes at which a data set has runs of every variant that the claim needs there.
    The rule, in this order:

    1. the document's own sizes, if all of them are candidates;
    2. else as many candidates as the claim needs, spread evenly by rank from the smallest to the
       largest: of one the largest, of two the smallest and the largest;
    3. else the document's own sizes, or, if it states none, rule 2 for each part alone: parts whose runs
       exist are decided, the others lack runs.

    Attributes:
        axis: a key of :data:`rungs.study.profile.SIZES`.
        stated: the document's sizes, ascending; empty if it states none.
        count: how many sizes the claim needs, if it states none.
        least: a smaller size is no candidate.
        exact: the statement is about the stated sizes and no others, so that rule 2 is skipped.
    """

    axis: str
    stated: tuple[int, ...] = ()
    count: int = 1
    least: int = 1
    exact: bool = False


@dataclass(frozen=True)
class Need:
    """A run that a part rests on: a variant at the ``place``-th of some sizes."""

    variant: str
    sizes: Sizes
    place: int = 0


@dataclass(frozen=True)
class Statement:
    """A document's own number for a part, computed from numbers that it states.

    Attributes:
        metric: the metric of the rows of ``resources/published.csv``.
        combine: the numbers of the part's needs, by name -> the number of the part.
    """

    metric: str
    combine: Callable[[Mapping[str, float]], float]


@dataclass(frozen=True)
class Part:
    """A measurable part of a claim; the claim holds if every part does.

    Attributes:
        name: short and stable, unique in the claim.
        measures: what the statistic is, in words.
        unit: of the statistic and the margin.
        needs: name in the statistic -> run.
        statistic: what is measured.
        relation: how the statistic must lie to the margin: ``<``, ``<=``, ``>``, ``>=``, or ``within``
            for an absolute value below it.
        margin: the smallest difference that would matter to a reader.
        reason: why the margin is what it is, in a word.
        step: for counts and shares, the smallest step of the statistic; seeds that agree have an
            interval of half a step on either side.
        drift_counts: False for what training on does not change, or for runs that the statement says
            diverge: the interval is then not widened by the drift.
        condition: the part states when the claim can be tested. Where it does not hold, the claim is
            undecided; it is never counted against the claim.
        published: the document's own number.
    """

    name: str
    measures: str
    unit: str
    needs: Mapping[str, Need]
    statistic: Statistic
    relation: str
    margin: float
    reason: str
    step: Callable[[Evaluations], float] | None = None
    drift_counts: bool = True
    condition: bool = False
    published: Statement | None = None


@dataclass(frozen=True)
class Claim:
    """A document's statement and the parts by which it is decided.

    Attributes:
        name: the claim's id.
        document: a key of :data:`rungs.claims.DOCUMENTS`.
        statement: in words, without a full stop.
        parts: at least one.
        evidence: figures and tables that show it.
        data: the beginning of the names of the data sets that it concerns; all by default.
    """

    name: str
    document: str
    statement: str
    parts: tuple[Part, ...]
    evidence: tuple[str, ...]
    data: str = ""


@dataclass(frozen=True)
class StoredRun:
    """The files of one run.

    Attributes:
        training: its training file.
        evaluation: the evaluation of the final model.
        before: the evaluation of the model at the end of its schedule, before the continuation; None for
            a run without continuation. It has the same arrays, except pictures.
    """

    training: Stored
    evaluation: Stored
    before: Stored | None = None

    @property
    def settings(self) -> RunSettings:
        """The settings that the run was trained by."""
        return settings_of(self.evaluation)

    @property
    def name(self) -> str:
        """The path of the run."""
        return self.settings["run"]
