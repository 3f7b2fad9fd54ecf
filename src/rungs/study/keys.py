"""Hashes of the code that a result rests on.

Snakemake does not see imported modules. :func:`code_hash` gives a rule a fingerprint of the modules
that its work rests on, found by following their imports, so that a change to a model makes just the
runs of that model stale.

Imports are followed within the rooms that compute or show. What stores, schedules, reports or
describes a study is in no key: stored formats carry a version number, and settings are part of a key
themselves.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rungs.models import entry, module_of
from rungs.paths import source_of
from rungs.storage import result_file
from rungs.storage.atomic import sha256

#: rooms whose code decides the numbers of a run
COMPUTING = frozenset({"numerics", "probability", "data", "models", "training", "evaluation"})
#: rooms whose code makes figures and tables of these numbers; no computing room imports them
SHOWING = frozenset({"claims", "tables", "figures"})


def code_hash(*modules: str) -> str:
    """Hash the syntax trees, without docstrings, of modules and of what they import.

    Args:
        modules: names such as ``rungs.training.trainer``. Imports are followed within
            :data:`COMPUTING`, :data:`SHOWING` and the rooms of these modules. The ``__init__`` of a
            room is never followed: it holds a registry, to which a line may be added.
    """
    digest = hashlib.sha256()
    for name in sorted(followed(*modules)):
        digest.update(f"{name}:{_tree(name)[0]}\n".encode())
    return digest.hexdigest()[:16]


def followed(*modules: str) -> set[str]:
    """The modules that :func:`code_hash` covers."""
    rooms = COMPUTING | SHOWING | {_room(name) for name in modules}
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(found for found in _imports(name) if _room(found) in rooms)
    return seen


def _room(module: str) -> str:
    """The room of a module; a module outside the package, of a model of one's own, is its own room."""
    return module.split(".")[1] if module.startswith("rungs.") else module


def _imports(name: str) -> frozenset[str]:
    return _tree(name)[1]


@functools.cache
def _tree(name: str) -> tuple[str, frozenset[str]]:
    """The module's dumped syntax tree without docstrings, and the modules of rooms it imports."""
    tree = ast.parse(source_of(name).read_text(encoding="utf-8"))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)
            imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            body[0] = ast.Pass()
    imported |= {name.rpartition(".")[0] for name in imported}  # the packages that they lie in
    return ast.dump(tree), frozenset(name for name in imported if _is_in_a_room(name))


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_in_a_room(name: str) -> bool:
    """Return whether a name, which may be that of a function, is that of a module in a room."""
    return name.startswith("rungs.") and name.count(".") > 1 and source_of(name).is_file()


@functools.cache
def training_code(model: str) -> str:
    """The hash of the code that trains a run of this model."""
    return code_hash("rungs.training.loop", module_of(model))


@functools.cache
def prior_code(model: str) -> str:
    """The hash of the code that trains this model as the prior of codes."""
    return code_hash("rungs.training.loop", "rungs.training.code_prior", module_of(model))


@functools.cache
def evaluation_code(model: str) -> str:
    """The hash of the code that evaluates a run of this model."""
    evaluator = entry(model).evaluator.partition(":")[0]
    return code_hash("rungs.evaluation.run", evaluator, module_of(model))


def run_key(settings: Mapping[str, Any], data: Path, start: Path | None = None) -> str:
    """A hash of all that a run rests on: settings, code, data, and the weights that it starts from. A
    checkpoint, or a finished run that is not to be done again, must agree with it.

    Args:
        settings: the run's resolved settings.
        data: the prepared data set.
        start: the weights of the run that it continues.
    """
    weights = "" if start is None else sha256(start.read_bytes())
    code = training_code(settings["model"])
    rest = [settings, code, result_file.fingerprint(data), weights]
    return sha256(json.dumps(rest, sort_keys=True).encode())[:16]
