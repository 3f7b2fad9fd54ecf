"""rungs: a replication pipeline for variational autoencoders.

Importing the package is cheap: torch, pandas and matplotlib are imported by the
modules that use them, so that the Snakefile and the command line start quickly.
What :data:`__all__` names is imported from :mod:`rungs.api` when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rungs.paths import __version__ as __version__

if TYPE_CHECKING:
    from rungs.api import Trained, evaluate, load, load_config, load_data, train

__all__ = ["Trained", "evaluate", "load", "load_config", "load_data", "train"]


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is used."""
    if name not in __all__:
        raise AttributeError(f"module 'rungs' has no attribute {name!r}")
    from rungs import api

    return getattr(api, name)
