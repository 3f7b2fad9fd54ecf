"""A profile's results as a Workflow Run RO-Crate: what made what, from what, when, in JSON-LD.

Follows the profiles Process Run Crate 0.5, Workflow Run Crate 0.5 and Workflow RO-Crate 1.0 over
RO-Crate 1.1 (https://www.researchobject.org/workflow-run-crate/). The crate is the folder
``results/<profile>``; a copy of the workflow goes into it, so that it can be archived as it is.
Apart from times it depends on the results alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rungs.data import catalogue
from rungs.errors import StoreError
from rungs.figures import FIGURES
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.storage.atomic import replacing, sha256, write_text
from rungs.storage.cost_file import read_seconds
from rungs.study import profile as configuration
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, HISTORY, TRAINING_COST, WEIGHTS, Layout
from rungs.study.runs import PRIOR_FOLDER, all_runs, runs
from rungs.tables import TABLES

Entity = dict[str, Any]
CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    "https://w3id.org/ro/terms/workflow-run/context",
]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
LICENCE = "https://spdx.org/licenses/MIT"
LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
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
    HISTORY: "a value an epoch of training",
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
    results = list(_results(config, layout))
    described = [_file(root, Path(layout.root) / name, text) for name, text in results]
    graph = _graph(config, frozen, sources, described, agent or "not named (RUNGS_AGENT)")
    text = json.dumps({"@context": CONTEXT, "@graph": graph}, indent=1) + "\n"
    write_text(layout.crate, text)
    return Path(layout.crate)


def workflow_files() -> list[str]:
    """The workflow's files, relative to the clone, the main one first."""
    found = [path for pattern in WORKFLOW for path in sorted(ROOT.glob(pattern))]
    return [path.relative_to(ROOT).as_posix() for path in found]


def _copy_workflow(target: Path) -> list[Path]:
    """Copy the workflow's files; their copies, in the same order."""
    for name in workflow_files():
        with replacing(target / name) as temporary:
            shutil.copyfile(ROOT / name, temporary)
    return [target / name for name in workflow_files()]


def _results(config: Config, layout: Layout) -> Iterable[tuple[str, str]]:
    """Every result's path in the crate, and what it is."""
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


def _file(root: Path, path: Path, description: str) -> Entity:
    if not path.is_file():
        raise StoreError(f"{path}: is missing; run the profile first.")
    content = path.read_bytes()
    return {
        "@id": quote(path.relative_to(root).as_posix()),
        "@type": "File",
        "name": path.name,
        "description": description,
        "encodingFormat": FORMATS.get(path.suffix, "text/plain"),
        "contentSize": str(len(content)),
        "sha256": sha256(content),
    }


def _graph(
    config: Config, frozen: Path, sources: list[Path], results: list[Entity], agent: str
) -> list[Entity]:
    layout = Layout(config["profile"])
    root = Path(layout.root)
    made = origins(config)
    main, *parts = [_file(root, path, "Part of the workflow") for path in sources]
    settings = _file(root, frozen, "The complete configuration")
    data = [_dataset(name, config) for name in dict.fromkeys(r.dataset for r in all_runs(config))]
    software = _software(made)
    started, ended = _times(config, frozen, results)
    action = f"#run-{frozen.stem}"
    main |= {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "rungs",
        "description": "Trains and evaluates variational autoencoders; draws figures and tables.",
        "programmingLanguage": {"@id": LANGUAGE},
        "license": {"@id": LICENCE},
        "creator": {"@id": DEVELOPERS},
        "version": version_of(made),
        "hasPart": _references(parts),
        "softwareRequirements": _references(software),
    }
    profile = config["profile"]
    return [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": [
                {"@id": "https://w3id.org/ro/crate/1.1"},
                {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
            ],
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"rungs: results of the profile {profile}",
            "description": f"{len(all_runs(config))} trained runs, their evaluations, the documents' "
            "figures and tables, and the verdicts on their claims.",
            "datePublished": ended,
            "license": {"@id": LICENCE},
            "conformsTo": [{"@id": address} for address in PROFILES],
            "mainEntity": {"@id": main["@id"]},
            "author": {"@id": DEVELOPERS},
            "mentions": {"@id": action},
            "hasPart": _references([main, *parts, settings, *results]),
        },
        *(
            {"@id": address, "@type": "CreativeWork", "name": name, "version": version}
            for address, (name, version) in PROFILES.items()
        ),
        {
            "@id": action,
            "@type": "CreateAction",
            "name": f"Run of the profile {profile}",
            "description": f"snakemake all with {settings['@id']}, on {machines_of(made)}",
            "startTime": started,
            "endTime": ended,
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "agent": {"@id": AGENT},
            "instrument": {"@id": main["@id"]},
            "object": _references([settings, *data]),
            "result": _references(results),
        },
        {"@id": AGENT, "@type": "Person", "name": agent},
        {"@id": DEVELOPERS, "@type": "Organization", "name": "The rungs developers"},
        {
            "@id": LANGUAGE,
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
            "url": {"@id": "https://snakemake.readthedocs.io"},
        },
        {
            "@id": LICENCE,
            "@type": "CreativeWork",
            "name": "MIT License",
            "description": "Of the workflow and its results; the data sets have their own.",
        },
        main,
        *parts,
        *software,
        *data,
        settings,
        *results,
    ]


def _references(entities: Iterable[Entity]) -> list[Entity]:
    return [{"@id": entity["@id"]} for entity in entities]


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


def _software(made: list[dict[str, Any]]) -> list[Entity]:
    """The versions that the runs were made with; usually one of each package."""
    versions: dict[str, set[str]] = {}
    for origin in made:
        for name, version in {"python": origin["python"], **origin["packages"]}.items():
            versions.setdefault(name, set()).add(version)
    return [
        {
            "@id": f"{url}#{quote(version)}",
            "@type": "SoftwareApplication",
            "name": name,
            "url": url,
            "softwareVersion": version,
        }
        for name, found in sorted(versions.items())
        for url in [URLS[name]]
        for version in sorted(found)
    ]


def _dataset(name: str, config: Config) -> Entity:
    """A prepared data set. It lies beside the crate, which all profiles share it with."""
    path = Layout.data(name)
    origin = result_file.read(path, only=()).attributes["provenance"]
    return {
        "@id": f"#data-{name}",
        "@type": "CreativeWork",
        "name": catalogue(config)[name].title,
        "alternateName": path,
        "description": json.dumps(origin, sort_keys=True),
        "identifier": f"checksum of all arrays {result_file.fingerprint(path)}",
    }


def _times(config: Config, frozen: Path, results: list[Entity]) -> tuple[str, str]:
    """From the first run's start, or the workflow's if earlier, to the last result's end, UTC."""
    layout = Layout(config["profile"])
    starts = [frozen.stat().st_mtime]
    for run in all_runs(config):
        cost = Path(layout.run(run)) / TRAINING_COST
        if cost.is_file():
            starts.append(cost.stat().st_mtime - read_seconds(cost))
    ends = [(Path(layout.root) / result["@id"]).stat().st_mtime for result in results]
    return _time(min(starts)), _time(max(ends))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
