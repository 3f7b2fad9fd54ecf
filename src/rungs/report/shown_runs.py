"""The documents that a page shows, and runs in words."""

from __future__ import annotations

from collections.abc import Iterable

from rungs.study.documents import DOCUMENTS
from rungs.study.layers import Config
from rungs.study.runs import SIZES, Run, runs

#: names longer than so many words are counted instead
LISTED = 8


def documents_of(
    config: Config, claimed: Iterable[str], pictured: Iterable[str | None]
) -> list[str]:
    """Return the documents of a page: those with runs, and those with claims or figures from runs that
    stand under another document in ``experiments``.

    Args:
        claimed: the documents of the claims of which there are runs.
        pictured: the documents of the figures that are drawn.
    """
    shown = {*claimed, *pictured}
    return [name for name in DOCUMENTS if name in shown or runs(config, name)]


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
