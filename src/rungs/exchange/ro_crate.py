"""A profile's results as a Workflow Run RO-Crate: the provenance of every file, in JSON-LD.

It follows the profiles Process Run Crate 0.5, Workflow Run Crate 0.5 and Workflow RO-Crate 1.0 over
RO-Crate 1.1 (https://www.researchobject.org/workflow-run-crate/). The crate is the folder
``results/<profile>``, into which the workflow is copied, so that the folder can be archived as it is.
Its bytes depend only on the results and their times.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model.computationalworkflow import ComputationalWorkflow
from rocrate.model.contextentity import ContextEntity
from rocrate.model.file import File
from rocrate.model.person import Person
from rocrate.model.softwareapplication import SoftwareApplication
from rocrate.rocrate import ROCrate

from rungs.data import catalogue
from rungs.errors import StoreError
from rungs.figures import FIGURES
from rungs.paths import IN_CLONE, PACKAGE, ROOT
from rungs.storage import result_file
from rungs.storage.atomic import replacing, sha256, write_text
from rungs.storage.cost_file import read_seconds
from rungs.study import profile as configuration
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, HISTORY, TRAINING_COST, WEIGHTS, Layout
from rungs.study.runs import PRIOR_FOLDER, all_runs, runs
from rungs.tables import TABLES

RUN_CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
LICENCE = "https://spdx.org/licenses/MIT"
DEVELOPERS, AGENT = "#rungs-developers", "#agent"
#: where the copy of the workflow lies in the crate, and what it consists of
SOURCE = "source"
WORKFLOW = (
    "Snakefile",
    "workflow/rules/*.smk",
    "workflow/schemas/*.yaml",
    "workflow/envs/*.yaml",
    "envs/requirements.txt",
)
FORMATS = {
    ".csv": "text/csv",
    ".h5": "application/x-hdf5",
    ".json": "application/json",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".safetensors": "application/octet-stream",
}
#: file of a run -> its description
DESCRIPTIONS = {
    WEIGHTS: "weights",
    HISTORY: "a value an epoch of training, and the weights before the continuation",
    EVALUATION: "what was measured",
    f"{PRIOR_FOLDER}/{WEIGHTS}": "weights of the prior over its codes",
    f"{PRIOR_FOLDER}/{HISTORY}": "a value an epoch of the prior's training",
}
URLS = {
    "python": "https://www.python.org/",
    "torch": "https://pytorch.org/",
    "numpy": "https://numpy.org/",
    "scipy": "https://scipy.org/",
    "scikit-learn": "https://scikit-learn.org/",
    "h5py": "https://www.h5py.org/",
    "snakemake": "https://snakemake.github.io/",
}


def write_crate(config: Config, agent: str | None = None) -> Path:
    """Write ``ro-crate-metadata.json`` and the workflow's copy into a finished profile's folder.

    Args:
        agent: who ran it, a name or an ORCID address.

    Raises:
        StoreError: if a result is missing.
    """
    layout = Layout(config["profile"])
    root = Path(layout.root)
    frozen = configuration.freeze(config, root / "config")
    sources = _copy_workflow(root / SOURCE)
    made = origins(config)
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(RUN_CONTEXT)
    workflow = _add_workflow(crate, root, sources, made)
    settings = _add_file(crate, root, frozen, "The complete configuration")
    listed = {root / name: text for name, text in _results(config, layout)}
    results = [_add_file(crate, root, path, text) for path, text in listed.items()]
    names = dict.fromkeys(run.dataset for run in all_runs(config))
    data = [_add_dataset(crate, name, config) for name in names]
    person = Person(crate, AGENT, {"name": agent or "not named (RUNGS_AGENT)"})
    started, ended = _times(config, frozen, list(listed))
    action = crate.add_action(
        workflow,
        f"#run-{frozen.stem}",
        object=[settings, *data],
        result=results,
        properties={
            "name": f"Run of the profile {config['profile']}",
            "description": f"snakemake all with {settings.id}, on {machines_of(made)}",
            "startTime": started,
            "endTime": ended,
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "agent": crate.add(person),
        },
    )
    _describe(crate, config, ended)
    crate.root_dataset["mentions"] = action
    write_text(layout.crate, json.dumps(crate.metadata.generate(), indent=1) + "\n")
    return Path(layout.crate)


def workflow_files() -> list[str]:
    """The workflow's files, relative to the clone, the main one first.

    Raises:
        StoreError: if the package is in no clone.
    """
    if not IN_CLONE:
        raise StoreError(
            f"{PACKAGE}: is installed from a wheel, which has no workflow to describe in a crate; run the "
            "command in a clone of the repository."
        )
    found = [path for pattern in WORKFLOW for path in sorted(ROOT.glob(pattern))]
    return [path.relative_to(ROOT).as_posix() for path in found]


def _copy_workflow(target: Path) -> list[Path]:
    """Copy the workflow's files and return the copies, in the same order."""
    for name in workflow_files():
        with replacing(target / name) as temporary:
            shutil.copyfile(ROOT / name, temporary)
    return [target / name for name in workflow_files()]


def _results(config: Config, layout: Layout) -> Iterable[tuple[str, str]]:
    """The path of every result in the crate, and its description."""
    for name, figure in FIGURES.items():
        for suffix in (".png", ".pdf"):
            yield f"figures/{name}{suffix}", figure.title
    for name, table in TABLES.items():
        for suffix in (".csv", ".md"):
            yield f"tables/{name}{suffix}", table.title
    yield "summary.txt", "Summary of bounds and claims"
    asked = set(runs(config))
    for run in all_runs(config):
        for name, text in DESCRIPTIONS.items():
            path = f"runs/{run.path}/{name}"
            optional = name.startswith(PRIOR_FOLDER) or (run not in asked and name == EVALUATION)
            if not optional or (Path(layout.root) / path).is_file():
                yield path, f"{run.path}: {text}"


def _add_file(crate: ROCrate, root: Path, path: Path, description: str) -> File:
    return crate.add_file(path, path.relative_to(root), properties=_properties(path, description))


def _properties(path: Path, description: str) -> dict[str, str]:
    if not path.is_file():
        raise StoreError(f"{path}: is missing; run the profile first.")
    content = path.read_bytes()
    return {
        "name": path.name,
        "description": description,
        "encodingFormat": FORMATS.get(path.suffix, "text/plain"),
        "contentSize": str(len(content)),
        "sha256": sha256(content),
    }


def _add_workflow(
    crate: ROCrate, root: Path, sources: list[Path], made: list[dict[str, Any]]
) -> ComputationalWorkflow:
    """Add the workflow, its parts, licence and authors, and the packages that it runs on."""
    first, *rest = sources
    text = "Part of the workflow"
    workflow = crate.add_workflow(
        first,
        first.relative_to(root),
        properties=_properties(first, text),
        main=True,
        lang="snakemake",
    )
    parts = [_add_file(crate, root, path, text) for path in rest]
    licence = ContextEntity(
        crate,
        LICENCE,
        {
            "@type": "CreativeWork",
            "name": "MIT License",
            "description": "Of the workflow and its results; the data sets have their own.",
        },
    )
    names = {"@type": "Organization", "name": "The rungs developers"}
    developers = ContextEntity(crate, DEVELOPERS, names)
    crate.add(licence, developers)
    workflow["name"] = "rungs"
    workflow["description"] = (
        "Trains and evaluates variational autoencoders; draws figures and tables."
    )
    workflow["license"], workflow["creator"] = licence, developers
    workflow["version"] = version_of(made)
    workflow["hasPart"] = parts
    workflow["softwareRequirements"] = _add_software(crate, made)
    return workflow


def _describe(crate: ROCrate, config: Config, ended: str) -> None:
    """Describe the folder, and name the profiles of RO-Crate that it follows."""
    profiles = [
        crate.add(
            ContextEntity(
                crate, address, {"@type": "CreativeWork", "name": name, "version": version}
            )
        )
        for address, (name, version) in PROFILES.items()
    ]
    crate.name = f"rungs: results of the profile {config['profile']}"
    crate.description = (
        f"{len(all_runs(config))} trained runs, their evaluations, the documents' "
        "figures and tables, and the verdicts on their claims."
    )
    crate.root_dataset["datePublished"] = ended
    crate.license = crate.get(LICENCE)
    crate.root_dataset["conformsTo"] = profiles
    crate.root_dataset["author"] = crate.get(DEVELOPERS)


def origins(config: Config) -> list[dict[str, Any]]:
    """The origin of each run and each evaluation: commit, versions, machine."""
    layout = Layout(config["profile"])
    return [
        result_file.read(f"{layout.run(run)}/{name}.h5", only=()).attributes["provenance"]
        for run in runs(config)
        for name in ("training", "evaluation")
    ]


def version_of(made: list[dict[str, Any]]) -> str:
    """The versions of rungs and the commits of :func:`origins`, as the crate states them."""
    versions, commits = (sorted({origin[key] for origin in made}) for key in ("rungs", "commit"))
    return f"{', '.join(versions)}, commit {', '.join(commits)}"


def machines_of(made: list[dict[str, Any]]) -> str:
    """The machines of :func:`origins`, as the crate states them."""
    return "; ".join(sorted({origin["machine"] for origin in made}))


def _add_software(crate: ROCrate, made: list[dict[str, Any]]) -> list[SoftwareApplication]:
    """Add the versions that the runs were made with, usually one of each package."""
    versions: dict[str, set[str]] = {}
    for origin in made:
        for name, version in {"python": origin["python"], **origin["packages"]}.items():
            versions.setdefault(name, set()).add(version)
    return [
        crate.add(
            SoftwareApplication(
                crate,
                f"{URLS[name]}#{quote(version)}",
                {"name": name, "url": URLS[name], "softwareVersion": version},
            )
        )
        for name, found in sorted(versions.items())
        for version in sorted(found)
    ]


def _add_dataset(crate: ROCrate, name: str, config: Config) -> ContextEntity:
    """Add a prepared data set. It lies beside the crate, because all profiles share it."""
    path = Layout.data(name)
    origin = result_file.read(path, only=()).attributes["provenance"]
    properties = {
        "@type": "CreativeWork",
        "name": catalogue(config)[name].title,
        "alternateName": path,
        "description": json.dumps(origin, sort_keys=True),
        "identifier": f"checksum of all arrays {result_file.fingerprint(path)}",
    }
    return crate.add(ContextEntity(crate, f"#data-{name}", properties))


def _times(config: Config, frozen: Path, results: list[Path]) -> tuple[str, str]:
    """From the first run's start, or the workflow's if earlier, to the last result's end, UTC."""
    layout = Layout(config["profile"])
    starts = [frozen.stat().st_mtime]
    for run in all_runs(config):
        cost = Path(layout.run(run)) / TRAINING_COST
        if cost.is_file():
            starts.append(cost.stat().st_mtime - read_seconds(cost))
    ends = [path.stat().st_mtime for path in results]
    return _time(min(starts)), _time(max(ends))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
