"""The identity of a stored file: what it was made from, compared with what a configuration asks for.

Snakemake makes again what is stale, but a command or a program may read any file that is there. So each
file carries what it was made from (settings, and a fingerprint or key of the file before it), and every
reader compares it here before it uses the file. Code is not compared: what another version of rungs has
made can be read. Neither is what a file of an earlier version does not say.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rungs.data import own_data
from rungs.errors import DataError, StoreError
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.storage.atomic import sha256
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, HISTORY, Layout
from rungs.study.runs import PRIOR_FOLDER, Run, parent_of
from rungs.study.settings import code_prior_settings, evaluation_settings, resolve

#: keys of the attributes of stored files: of prepared data, the hashes of their source; of a training, the
#: fingerprint of its data and the key of the run that it continues or whose codes it models; of an
#: evaluation, the key of the training
SOURCE, DATA, START, TRAINED = "source", "data", "start", "trained"
#: settings of where a run is computed, on which it does not depend but for rounding
MACHINE = frozenset({"device", "threads"})
#: differing settings that a message names
NAMED = 3


def data_source(config: Config, dataset: str) -> list[str]:
    """Hashes of the source of a prepared data set: the embedded file, or one's own images with their
    settings. The sources of downloads are pinned in the code."""
    found = config.get("datasets", {}).get(dataset, {}).get("found")
    if found is not None:
        return [found["fingerprint"]]
    embedded = ROOT / "resources" / "mnist5k.h5"
    return [sha256(embedded.read_bytes())[:16]] if dataset == "mnist5k" else []


def differences(found: Any, asked: Any, name: str = "") -> Iterator[str]:
    """The names of the settings that differ, the settings of :data:`MACHINE` left aside.

    >>> list(differences({"a": {"b": 1, "c": 2}, "threads": 1}, {"a": {"b": 1, "c": 3}}))
    ['a.c']
    """
    if isinstance(found, Mapping) and isinstance(asked, Mapping):
        for key in sorted({*found, *asked} - MACHINE):
            yield from differences(
                found.get(key), asked.get(key), f"{name}.{key}" if name else str(key)
            )
    elif found != asked:
        yield name


def check_prepared(config: Config, dataset: str) -> Path:
    """Return the file of a prepared data set, if it was made from what the configuration asks for.

    Raises:
        DataError: if it was not, or is missing; the message names the command that makes it.
    """
    path, again = Path(Layout.data(dataset)), f"rungs prepare {dataset}"
    if not path.exists():
        raise DataError(f"{path}: the data set is not prepared; run: {again}")
    attributes = _read(path, again)
    entry = own_data(config).get(dataset)
    if SOURCE not in attributes and entry is None:
        return path
    if attributes.get(SOURCE) != data_source(config, dataset):
        key = f"datasets.{dataset}"
        differing = [] if entry is None else _changed(entry, attributes["provenance"])
        reason = f"with other settings than {key} has ({_few(differing)})"
        if not differing:
            reason = f"from other images than those of {key}"
        if SOURCE not in attributes:
            reason = "by an earlier version of rungs, which did not write from which images"
        raise DataError(f"{path}: was prepared {reason}; run: {again}")
    return path


def _changed(entry: Mapping[str, Any], provenance: Mapping[str, Any]) -> list[str]:
    """The options that have changed in an entry of one's own data, but for the place of the images."""
    from rungs.data.own import KEYS

    now = {key: value for key, value in entry.items() if key in KEYS and key != "images"}
    return list(differences(provenance.get("settings", now), now))


def check_trained(config: Config, run: Run, folder: Path | None = None) -> None:
    """Compare a trained run with what the configuration asks for, and with its prepared data where they
    are there.

    Args:
        folder: of the run; by default that of its exported files.

    Raises:
        DataError: if the prepared data are others.
        StoreError: if it is missing, or if settings, data or the run that it continues differ.
    """
    layout = Layout(config["profile"])
    exported, again = Path(layout.run(run)), f"rungs train {run.path}"
    folder = folder or exported
    trained = _read(folder / HISTORY, again)
    _compare_settings(folder / HISTORY, trained["run"], resolve(config, run), again)
    if Path(Layout.data(run.dataset)).exists():
        data = check_prepared(config, run.dataset)
        if trained.get(DATA, asked := _content(data)) != asked:
            raise StoreError(
                f"{folder / HISTORY}: was trained on other data than {data}; run: {again}"
            )
    parent = parent_of(config, run) if folder == exported else None  # packs see to it themselves
    if parent is not None and (began := Path(layout.run(parent)) / HISTORY).is_file():
        key = _read(began, again).get("key")
        if trained.get(START, key) != key:
            raise StoreError(
                f"{folder / HISTORY}: {parent.path}, which it continues, has been trained again since; "
                f"run: {again}"
            )


def check_prior(config: Config, run: Run, folder: Path) -> None:
    """Compare the prior that was learnt over a run's codes, where it has one, with what is asked for.

    Args:
        folder: of the trained run.

    Raises:
        StoreError: if it is missing, or if its settings or the run differ.
    """
    asked = code_prior_settings(config, run)
    if asked is None:
        return
    path, again = folder / PRIOR_FOLDER / HISTORY, f"rungs prior {run.path}"
    prior = _read(path, again)
    _compare_settings(path, prior["run"], asked, again)
    key = _read(folder / HISTORY, again).get("key")
    if prior.get(START, key) != key:
        raise StoreError(f"{path}: is of an earlier training of {run.path}; run: {again}")


def check_evaluated(config: Config, run: Run) -> None:
    """Compare the evaluation of a run with what the configuration asks for, and with its training where
    that is there.

    Raises:
        StoreError: if it is missing, or if settings or the training differ.
    """
    folder = Path(Layout(config["profile"]).run(run))
    path, again = folder / EVALUATION, f"rungs evaluate {run.path}"
    evaluated = _read(path, again)
    if trained := (folder / HISTORY).is_file():
        # first: of another training, evaluating it again is not enough
        check_trained(config, run)
    _compare_settings(path, evaluated["run"], resolve(config, run), again)
    if "evaluation" in evaluated:
        measured = {k: v for k, v in evaluated["evaluation"].items() if k != "prior"}
        _compare_settings(path, measured, evaluation_settings(config, run), again)
    if trained:
        check_same_training(folder, again)


def check_same_training(folder: Path, again: str) -> None:
    """Check that the evaluation in a folder is of the training in it.

    Args:
        again: the command that mends it, for the message.

    Raises:
        StoreError: if it is of an earlier one.
    """
    trained, evaluated = (_read(folder / name, again) for name in (HISTORY, EVALUATION))
    key = trained.get("key")
    if evaluated.get(TRAINED, key) != key or evaluated["run"] != trained["run"]:
        raise StoreError(
            f"{folder / EVALUATION}: is of an earlier training of this run; run: {again}"
        )


def check_classifier(config: Config, run: Run) -> None:
    """Check that the classifier that compares a run's samples, if one does, is of its data.

    Raises:
        StoreError: if it is missing, or of other data.
    """
    named = Layout(config["profile"]).classifier_of(config, run)
    if named is None:
        return
    from rungs.storage.tensors import load_tensors  # imports torch

    path, again = Path(named), f"rungs classifier {run.dataset}"
    if not path.is_file():
        raise StoreError(f"{path}: the file is missing; make it with '{again}'.")
    metadata, data = load_tensors(path)[1], Path(Layout.data(run.dataset))
    if metadata.get(DATA, asked := _content(data)) != asked:
        raise StoreError(f"{path}: is of other data than {data}; run: {again}")


def _read(path: Path, again: str) -> dict[str, Any]:
    try:
        status = path.stat()
    except OSError as error:
        raise StoreError(f"{path}: the file is missing; make it with '{again}'.") from error
    return _attributes(path, status.st_mtime_ns, status.st_size)


@functools.cache
def _attributes(path: Path, *written: int) -> dict[str, Any]:
    """The attributes of a file that was written then; a figure of many runs asks for some twice."""
    return result_file.read(path, only=()).attributes


def _content(path: Path) -> str:
    """The fingerprint of prepared data (:func:`rungs.storage.result_file.fingerprint`)."""
    status = path.stat()
    return _fingerprint(path, status.st_mtime_ns, status.st_size)


@functools.cache
def _fingerprint(path: Path, *written: int) -> str:
    return result_file.fingerprint(path)


def _compare_settings(path: Path, found: Any, asked: Any, again: str) -> None:
    differing = list(differences(found, asked))
    if differing:
        raise StoreError(
            f"{path}: was made with other settings than this configuration's ({_few(differing)}); "
            f"run: {again}"
        )


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more
