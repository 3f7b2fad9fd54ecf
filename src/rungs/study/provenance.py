"""Where a result comes from: the code it rests on, the versions, the machine.

Snakemake does not see imported modules. :func:`code_hash` gives a rule a fingerprint of the
modules that its work rests on, found by following their imports, so that a change to a
model makes just the runs of that model stale.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rungs.paths import PACKAGE, __version__

#: Glue that says what there is, not what it does: an added line must make nothing stale.
GLUE = frozenset(
    {
        "rungs",
        "rungs.cli",
        "rungs.study.layers",
        "rungs.study.profile",
        "rungs.study.runs",
        "rungs.study.settings",
        "rungs.study.validation",
        "rungs.errors",
        "rungs.jobs.environment",
        "rungs.study.provenance",
        "rungs.jobs.reporting",
        "rungs.claims",
        "rungs.data",
        "rungs.models",
        "rungs.figures",
        "rungs.tables",
        "rungs.evaluation",
    }
)


def code_hash(*modules: str) -> str:
    """A hash of the syntax trees, docstrings dropped, of modules and all that they import.

    Args:
        modules: names such as ``rungs.training.trainer``. Only modules of this package count;
            packages' ``__init__`` and the other modules of :data:`GLUE` do not.
    """
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_imports(name) - GLUE)
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(f"{name}:{_tree(name)[0]}\n".encode())
    return digest.hexdigest()[:16]


def _imports(name: str) -> set[str]:
    return _tree(name)[1]


@functools.cache
def _tree(name: str) -> tuple[str, set[str]]:
    """The module's dumped syntax tree without docstrings, and the rungs modules it imports."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(source.read_text(encoding="utf-8"))
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
    return ast.dump(tree), {m for m in imported if m.startswith("rungs.") and _exists(m)}


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _exists(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").is_file() or path.is_dir()


@functools.cache
def training_code(model: str) -> str:
    """The hash of what training a run of this model rests on."""
    from rungs.models import module_of

    return code_hash("rungs.training.trainer", module_of(model))


@functools.cache
def prior_code(model: str) -> str:
    """The hash of what training this model as the prior of codes rests on."""
    from rungs.models import module_of

    return code_hash("rungs.training.code_prior", module_of(model))


@functools.cache
def evaluation_code(model: str) -> str:
    """The hash of what evaluating a run of this model rests on."""
    from rungs.models import entry, module_of

    return code_hash(entry(model).evaluation, module_of(model))


@functools.cache
def describe() -> dict[str, Any]:
    """Commit, versions and machine, as every result file carries them."""
    packages = ("torch", "numpy", "scipy", "h5py", "snakemake")
    return {
        "rungs": _version("rungs"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}",
    }


def _version(package: str) -> str:
    try:
        return __version__ if package == "rungs" else version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of the clone, with ``+`` where tracked files differ from it."""
    try:
        git = ["git", "-C", str(PACKAGE), "describe", "--always", "--abbrev=12", "--dirty=+"]
        done = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
