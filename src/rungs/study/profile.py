"""A profile: the layers of its configuration, read, checked and frozen.

A profile (``config/smoke.yaml``) is laid over ``config/common.yaml``, key by key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from rungs.data import own_data
from rungs.errors import ConfigError
from rungs.storage.atomic import sha256, write_text
from rungs.study.layers import COMMON, DEFAULT, Config, merge, read_file
from rungs.study.layout import Layout
from rungs.study.runs import SIZES, Run
from rungs.study.validation import validate

RAW_DATA_VARIABLE = "RUNGS_RAW_DATA"
CONFIG_VARIABLE = "RUNGS_CONFIG"


def load(paths: Iterable[Path | str]) -> Config:
    """Layer profiles over ``config/common.yaml`` and validate the result.

    A ``.json`` file is a frozen configuration (:func:`freeze`), already complete. What is to be
    known of one's own data is looked up here (:func:`rungs.data.own.complete`).
    """
    config = layer(paths)
    validate(config)
    return with_own_data(config)


def layer(paths: Iterable[Path | str]) -> Config:
    """The same without validation, which takes longer."""
    profiles = [Path(path) for path in paths]
    frozen = bool(profiles) and profiles[0].suffix == ".json"
    config = {} if frozen else read_file(COMMON)
    for path in profiles:
        config = merge(config, read_file(path))
    return config


def with_own_data(config: Config) -> Config:
    """A valid configuration with what is to be known of one's own data before anything runs.

    Raises:
        ConfigError, DataError: if that data cannot be used.
    """
    if not own_data(config):
        return config
    from rungs.data import own  # imports numpy, which most workflows do not need at their start

    return own.complete(config, lambda name: Path(Layout.content(name)))


def complete(config: Config) -> Config:
    """Lay ``config`` over ``config/common.yaml`` and, if it names no profile, over the default one.

    Snakemake reads profiles itself, and a workflow that uses this one as a module hands on its own
    settings only.
    """
    base = read_file(COMMON)
    if "profile" not in config:
        base = merge(base, read_file(DEFAULT))
    return merge(base, config)


def of_run(config: Config, run: Run, profile: str) -> Config:
    """A configuration, perhaps a part of one (:func:`complete`), as a profile that asks for one run.

    Args:
        profile: its name.

    Raises:
        ConfigError, DataError: if configuration, run or data cannot be used.
    """
    grid = {
        "datasets": [run.dataset],
        "variants": [run.variant],
        SIZES[run.axis]: [run.size],
        "seeds": [run.seed],
    }
    asked = {**complete(config), "profile": profile, "experiments": {profile: [grid]}}
    validate(asked)
    return with_own_data(asked)


def raw_data(config: Config) -> Path | None:
    """The folder of raw data files: the environment variable, else the configuration key.

    Raises:
        ConfigError: if it names a home folder that there is not.
    """
    named = os.environ.get(RAW_DATA_VARIABLE) or config.get("raw_data")
    try:
        return Path(named).expanduser() if named else None
    except RuntimeError as error:
        raise ConfigError(
            f"configuration key raw_data: {named}: there is no such home folder; give a path without ~."
        ) from error


def freeze(config: Config, folder: Path | str) -> Path:
    """Write the complete configuration to ``folder`` under the name of its hash.

    Jobs read this file: it never changes, so a job that starts later, or on another
    machine, sees the configuration that its workflow was started with; in the same order, for
    to Snakemake parameters in another order are other parameters.
    """
    text = json.dumps(config, indent=1) + "\n"
    path = Path(folder) / f"{sha256(text.encode())[:12]}.json"
    if not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)
    return path
