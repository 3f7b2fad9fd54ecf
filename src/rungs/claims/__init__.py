"""The documents' claims, decided from stored evaluations.

This module is their registry: the claims of a further document are one module with ``CLAIMS`` and one
line here. :mod:`rungs.claims.core` has the types, :mod:`rungs.claims.verdicts` the rule that turns runs
into verdicts, :mod:`rungs.claims.intervals` the intervals, and :mod:`rungs.claims.arrays` the arrays of an
evaluation that claims read. The room may import evaluation and the rooms below it; tables and every room
above may import it. Claims read stored results only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rungs.claims.core import Claim

#: document -> the module of its claims
DOCUMENTS = {
    "ladder": "rungs.claims.ladder",
    "mixture": "rungs.claims.mixture",
    "vq": "rungs.claims.vq",
    "vae": "rungs.claims.vae",
    "moments": "rungs.claims.moments",
}


def claims(documents: list[str] | None = None) -> list[Claim]:
    """Return the claims of some documents, all by default, in the order of the registry."""
    wanted = DOCUMENTS if documents is None else documents
    return [claim for name in DOCUMENTS if name in wanted for claim in _module(name)]


def _module(document: str) -> list[Claim]:
    found: list[Claim] = import_module(DOCUMENTS[document]).CLAIMS
    return found
