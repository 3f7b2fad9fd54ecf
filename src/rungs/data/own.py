"""One's own images as a data set, by an entry of the configuration alone (docs/own-data.md).

``datasets: {mine: {images: PATH, ...}}``: a folder of image files, or an array in an ``.npz``, ``.npy`` or
HDF5 file (:mod:`rungs.data.own_sources`). What the rest must know of it before anything runs (shape,
counts, a fingerprint) is found once, when the configuration is complete, and kept in the entry's
key ``found``, so that jobs on other machines need not see the source.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rungs.data.content import fingerprint
from rungs.data.own_sources import LEAST_TEST, LEAST_TRAIN, Source, Wanted, open_source
from rungs.data.prepared import Prepared, mixed
from rungs.errors import ConfigError, DataError, printable
from rungs.storage.atomic import sha256

#: the keys of an entry that say what the data are; the others are settings of its runs
KEYS = (
    *("images", "array", "labels", "test", "size", "fit"),
    *("channels", "white", "layout", "invert", "threshold"),
)
TEST = {"fraction": 0.2, "seed": 0}
#: more values of a label than this are no classes
MOST_CLASSES = 1000
#: classes that a message names
NAMED = 5


def find(name: str, settings: Mapping[str, Any], memory: Path | None = None) -> dict[str, Any]:
    """Look up the facts that the workflow needs before any image is prepared: ``shape, train, test,
    labelled, fingerprint``.

    The fingerprint is one of the settings and of the names and the content of the files. Where the
    source lies is no part of it, and neither are times.

    Args:
        memory: of the files' content (:func:`rungs.data.content.fingerprint`).

    Raises:
        ConfigError: if the entry asks for what is not there.
        DataError: if a source cannot be used.
    """
    train, test = _sources(name, settings)
    shape = train.shape()
    if test is None:
        tested = _test_count(train.count, settings)
        trained = train.count - tested
    else:
        trained, tested = train.count, test.count
        if test.shape() != shape:
            raise DataError(_different_shapes(name, train, test))
    for split, count, least in (("training", trained, LEAST_TRAIN), ("test", tested, LEAST_TEST)):
        if count < least:
            raise DataError(
                f"{train.path}: {count} {split} images are too few for data set {name}; at least {least} "
                f"are needed. Give more images, or change datasets.{name}.test."
            )
    rules = {k: v for k, v in settings.items() if k in KEYS and k not in ("images", "test")}
    rules["test"] = {k: v for k, v in settings.get("test", TEST).items() if k != "images"}
    files = [
        None if source is None else fingerprint(source.named_files(), memory)
        for source in (train, test)
    ]
    text = json.dumps([rules, files], sort_keys=True)
    return {
        "shape": list(shape),
        "train": trained,
        "test": tested,
        "labelled": "labels" in settings,
        "fingerprint": sha256(text.encode())[:16],
    }


def complete(config: dict[str, Any], memory: Callable[[str], Path] | None = None) -> dict[str, Any]:
    """The configuration with ``found`` in every entry of one's own data that lacks it.

    Args:
        memory: name of a data set -> the file where the content of its files is remembered.
    """
    entries = dict(config.get("datasets", {}))
    for name, settings in entries.items():
        if "images" in settings and "found" not in settings:
            found = find(name, settings, memory(name) if memory else None)
            entries[name] = {**settings, "found": found}
    return {**config, "datasets": entries} if entries else config


def prepare(name: str, settings: Mapping[str, Any]) -> Prepared:
    """Read, check, convert, split and mix the images.

    Raises:
        ConfigError, DataError: with one line that names the key or the file.
    """
    train, test = _sources(name, settings)
    images, labels = _converted(train.images(), settings), train.labels()
    notes = train.notes()
    if test is None:
        drawn = _drawn(train, labels, settings)
        rows = [mixed(part) for part in drawn]
        splits = [images[part] for part in rows]
        named = None if labels is None else [labels[part] for part in rows]
    else:
        notes += [note for note in test.notes() if note not in notes]
        both = [images, _converted(test.images(train.white), settings)]
        if both[1].shape[1:] != images.shape[1:]:
            raise DataError(_different_shapes(name, train, test))
        _check_white(name, train, test)
        rows = [mixed(np.arange(len(part))) for part in both]
        splits = [part[order] for part, order in zip(both, rows, strict=True)]
        other = test.labels()
        named = None
        if labels is not None and other is not None:
            named = [labels[rows[0]], other[rows[1]]]
    classes: list[str] = []
    if named is None:
        coded = [np.full(len(split), -1) for split in splits]
    else:
        values, codes = np.unique(np.concatenate(named), return_inverse=True)
        if len(values) > MOST_CLASSES:
            raise DataError(
                f"{train.path}: the labels have {len(values)} different values, more than the "
                f"{MOST_CLASSES} that classes may have; leave datasets.{name}.labels out."
            )
        classes = [str(value) for value in values]
        coded = [codes[: len(splits[0])], codes[len(splits[0]) :]]
        if test is not None:
            _check_classes(name, classes, coded, train, test)
        notes += _notes_on(classes, coded)
    provenance = {
        "source": f"own data: {train.path.name}",
        "licence": "that of its owner",
        "settings": {k: v for k, v in settings.items() if k in KEYS and k != "images"},
        "classes": classes,
        "notes": [printable(note) for note in notes],
    }
    return Prepared(splits[0], coded[0], splits[1], coded[1], provenance)


def _sources(name: str, settings: Mapping[str, Any]) -> tuple[Source, Source | None]:
    """The source of the training images, and that of the test images where there is another."""
    wanted = Wanted.of(name, settings)
    key = f"datasets.{name}"
    train = open_source(
        settings["images"], settings.get("array"), settings.get("labels"), wanted, key
    )
    own = settings.get("test", {})
    if not {"images", "array", "labels"} & own.keys():
        return train, None
    if not {"images", "array"} & own.keys():
        raise ConfigError(
            f"configuration key {key}.test: has labels but neither images nor array; give one of them."
        )
    if {"fraction", "seed"} & own.keys():
        raise ConfigError(
            f"configuration key {key}.test: names test images, which are not drawn then; leave fraction "
            "and seed out."
        )
    labels = own.get("labels", "folders" if settings.get("labels") == "folders" else None)
    if (labels is None) != ("labels" not in settings):
        raise ConfigError(
            f"configuration key {key}.test.labels: training and test images have labels both or neither."
        )
    test = open_source(
        own.get("images", settings["images"]), own.get("array"), labels, wanted, f"{key}.test"
    )
    return train, test


def _test_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**TEST, **settings.get("test", {})}


def _test_count(count: int, settings: Mapping[str, Any]) -> int:
    return max(1, round(count * _test_settings(settings)["fraction"]))


def _drawn(
    train: Source, labels: np.ndarray | None, settings: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of training and of test images, drawn at random; every class has a training image.

    Raises:
        DataError: if there are more classes than training images.
    """
    tested = _test_count(train.count, settings)
    order = np.random.default_rng(_test_settings(settings)["seed"]).permutation(train.count)
    kept, drawn = order[tested:], order[:tested]
    if labels is not None:
        codes = np.unique(labels, return_inverse=True)[1]
        counts = np.bincount(codes[kept], minlength=codes.max() + 1)
        lone = [row for row in drawn if counts[codes[row]] == 0]
        if lone:  # the first of each class
            lone = [lone[i] for i in np.unique(codes[lone], return_index=True)[1]]
        spare: list[int] = []
        for row in kept:
            if len(spare) < len(lone) and counts[codes[row]] > 1:
                counts[codes[row]] -= 1
                spare.append(row)
        if len(spare) < len(lone):
            raise DataError(
                f"{train.path}: has {len(counts)} classes, too many for {len(kept)} training images; leave "
                "the labels out, or give more images."
            )
        kept = np.concatenate([np.setdiff1d(kept, spare), np.array(lone, dtype=kept.dtype)])
        drawn = np.concatenate([np.setdiff1d(drawn, lone), np.array(spare, dtype=drawn.dtype)])
    return np.sort(kept), np.sort(drawn)


def _check_white(name: str, train: Source, test: Source) -> None:
    """Refuse integers of which those of one split reach to 1, as bits do, and those of the other to 255."""
    whites = {source.white: source for source in (train, test) if source.white is not None}
    if len(whites) > 1:
        least, most = (whites[white] for white in sorted(whites))
        raise DataError(
            f"{least.path}: its pixels are 0 and 1, those of the other images ({most.path}) reach to "
            f"{most.white:g}; save bits as 0 and {most.white:g}, or set datasets.{name}.white to "
            f"{most.white:g} if these images are that dark."
        )


def _check_classes(
    name: str, classes: list[str], coded: list[np.ndarray], train: Source, test: Source
) -> None:
    """Refuse test images of classes that the training images lack."""
    strange = ~np.isin(coded[1], coded[0])
    if not strange.any():
        return
    lacking = [classes[code] for code in np.unique(coded[1][strange])]
    raise DataError(
        f"{test.path}: {int(strange.sum())} test images are of classes that the training images of "
        f"{train.path} lack ({_some(lacking)}; it has {_some([classes[c] for c in np.unique(coded[0])])}). "
        f"Name classes alike, remove these images, or leave datasets.{name}.labels out."
    )


def _notes_on(classes: list[str], coded: list[np.ndarray]) -> list[str]:
    """What is good to know of the classes."""
    alike: dict[str, list[str]] = {}
    for known in classes:
        alike.setdefault(_plain(known), []).append(known)
    notes = [
        f"classes {' and '.join(map(repr, names))} differ by case, blanks or the encoding of accents only "
        "and are kept apart"
        for names in alike.values()
        if len(names) > 1
    ]
    untested = [classes[code] for code in np.setdiff1d(coded[0], coded[1])]
    if untested:
        notes.append(f"no test images of {len(untested)} classes ({_some(untested)})")
    return notes


def _plain(name: str) -> str:
    """A name without what a reader hardly sees: case, blanks, and whether an accent is a letter's or its own
    character, as in names of folders from macOS."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _some(names: list[str]) -> str:
    """The first of some names."""
    return ", ".join(map(repr, names[:NAMED])) + (", ..." if len(names) > NAMED else "")


def _converted(images: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Inverted and thresholded, as the settings say; uint8."""
    if settings.get("invert", False):
        images = 255 - images
    if (threshold := settings.get("threshold")) is not None:
        images = (images >= 255 * threshold).astype(np.uint8)
        images *= 255
    return images


def _different_shapes(name: str, train: Source, test: Source) -> str:
    return (
        f"{test.path}: its images differ in shape from those of {train.path}; "
        f"set datasets.{name}.size, fit and channels."
    )
