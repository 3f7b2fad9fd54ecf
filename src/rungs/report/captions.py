"""The captions of every figure and table in the report: the document, the runs, and what to look
for. From the registries and the configuration; no caption is written twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rungs.figures import FIGURES, figure_settings
from rungs.study.documents import document_name
from rungs.study.layers import Config
from rungs.study.layout import RUN_FILES
from rungs.study.runs import SIZES, Run, runs, selected
from rungs.tables import TABLES

#: what a caption's template is given: ``title, look_for, document, runs``
Caption = dict[str, str]
#: names longer than so many words are counted instead
LISTED = 8


def captions(config: Config) -> dict[str, dict[str, Caption]]:
    """The captions of all figures and tables, by the rule that makes them and by id."""
    figures = {
        name: _caption(
            entry.title,
            entry.look_for,
            entry.document,
            selected(runs(config, entry.document), figure_settings(config, name)),
            entry.needs,
        )
        for name, entry in FIGURES.items()
    }
    tables = {
        name: _caption(entry.title, entry.look_for, entry.document, runs(config), entry.needs)
        for name, entry in TABLES.items()
    }
    return {"figure": figures, "table": tables}


def _caption(
    title: str, look_for: str, document: str | None, shown: Sequence[Run], needs: Sequence[str]
) -> Caption:
    return {
        "title": title,
        "look_for": look_for,
        "document": document_name(document),
        "runs": describe(shown if set(needs) & set(RUN_FILES) else []),
    }


def describe(shown: Iterable[Run]) -> str:
    """Runs in words.

    >>> describe(Run("mnist5k", v, d, 0) for v in ("vae", "vae-bn") for d in (1, 2))
    '4 runs: data mnist5k; variants vae, vae-bn; depths 1, 2; seed 0'
    >>> describe([])
    'no run of this profile'
    """
    found = list(shown)
    if not found:
        return "no run of this profile"
    parts = [
        _listed("data", "data", [run.dataset for run in found]),
        _listed("variant", "variants", [run.variant for run in found]),
    ]
    for axis, plural in SIZES.items():
        values = sorted({run.size for run in found if run.axis == axis})
        if values:
            parts.append(_listed(axis, plural, values))
    parts.append(_listed("seed", "seeds", sorted({run.seed for run in found})))
    return f"{len(found)} run{'s' * (len(found) > 1)}: {'; '.join(parts)}"


def _listed(one: str, many: str, values: Iterable[object]) -> str:
    names = [str(value) for value in dict.fromkeys(values)]
    if len(names) > LISTED:
        return f"{len(names)} {many}"
    return f"{one if len(names) == 1 else many} {', '.join(names)}"
