"""The place of the package: its version, and the repository whose files it reads."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__version__ = "0.1.0"
#: the folder of the package's modules
PACKAGE = Path(__file__).resolve().parent
#: what a wheel carries of the repository (setup.py); there is no such folder in a clone
_CARRIED = PACKAGE / "repository"
#: whether the package lies in a clone, with the workflow, and not in a wheel
IN_CLONE = not _CARRIED.is_dir()
#: the repository: configuration, schema and embedded data; in a clone also the workflow and all else
ROOT = PACKAGE.parents[1] if IN_CLONE else _CARRIED


def source_of(module: str) -> Path:
    """Return the file of a module, without importing it.

    Args:
        module: of this package, or of a model that is registered from outside.

    Raises:
        ModuleNotFoundError: if a module outside the package cannot be found.
    """
    if module.startswith("rungs."):
        path = PACKAGE.joinpath(*module.split(".")[1:])
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found = find_spec(module)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"the module {module}, which a registry names, cannot be found.")
    return Path(found.origin)
