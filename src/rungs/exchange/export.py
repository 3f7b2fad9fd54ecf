"""Writes the archive of a run (:mod:`rungs.exchange.archive_format`)."""

from __future__ import annotations

import io
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rungs.data import catalogue
from rungs.errors import ConfigError, StoreError
from rungs.exchange.archive_format import (
    COSTS,
    FORMAT,
    LEFT_OUT,
    MANIFEST,
    MEMBERS,
    PICTURES,
    PRIOR_FILES,
    VERSION,
)
from rungs.exchange.description import as_json, describe, numbers_of, readme
from rungs.models import entry
from rungs.storage import result_file
from rungs.storage.atomic import replacing, sha256
from rungs.storage.result_file import Stored
from rungs.study.identity import check_same_training, differences
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, HISTORY, SCHEDULED, WEIGHTS, Layout
from rungs.study.runs import Run
from rungs.study.settings import code_prior_settings, resolve

if TYPE_CHECKING:
    from torch import Tensor

DATE = (1980, 1, 1, 0, 0, 0)
#: an array of more bytes stays behind ...
LARGE = 2**18
#: ... unless it is one of these, or verified (:attr:`rungs.models.ModelEntry.verified`)
KEPT = frozenset(
    {
        *("test/lk", "test/elbo", "test/ess", "test/nested_k", "test/nested_lk", "test/labels"),
        *("test/prior", "test/reconstruction", "train/elbo"),
        *("pictures/samples", "pictures/originals", "pictures/reconstructions"),
    }
)
#: float16 weights may move the mean L_k of a run's test images by less than this, nats
HALF_TOLERANCE = 0.01


@dataclass(frozen=True)
class Exported:
    """An archive that was written: its file, its size in bytes, and the arrays left out of it."""

    path: Path
    size: int
    left_out: list[str]


def default_name(config: Config, run: Run) -> str:
    """The file name of a run's archive.

    >>> default_name({"profile": "quick"}, Run.parse("mnist5k/vae/depth2/seed0"))
    'quick-mnist5k-vae-depth2-seed0.zip'
    """
    return f"{config['profile']}-{run.path.replace('/', '-')}.zip"


def export_run(
    config: Config, run: Run, output: Path, half: bool = False, data: Path | None = None
) -> Exported:
    """Write the archive of a trained and evaluated run of a profile.

    Args:
        output: the file, or a folder for :func:`default_name`.
        half: round the weights' matrices to float16, half the size, if that moves the mean L_k of up to 100
            test images by less than :data:`HALF_TOLERANCE`.
        data: the prepared data set, for ``half``; by default that of the working folder.

    Raises:
        StoreError: if the run is not there, damaged, or changes too much by rounding.
        ConfigError: if it was trained with other settings than the configuration's.
    """
    folder = Path(Layout(config["profile"]).run(run))
    training, evaluation = (result_file.read(folder / name) for name in (HISTORY, EVALUATION))
    _check_settings(config, run, training, evaluation)
    left_out: list[str] = []
    members: dict[str, bytes] = {}
    for name in (HISTORY, EVALUATION, *PRIOR_FILES[1:]):
        if (folder / name).is_file():
            members[name], out = _compact(folder / name)
            left_out += [f"{name}: {array}" for array in out]
    for name in (WEIGHTS, PRIOR_FILES[0], *COSTS):
        if (folder / name).is_file():
            members[name] = (folder / name).read_bytes()
    if code_prior_settings(config, run) is not None and PRIOR_FILES[0] not in members:
        raise StoreError(f"{folder / PRIOR_FILES[0]}: is missing; train the run's prior first.")
    if WEIGHTS not in members:
        raise StoreError(f"{folder / WEIGHTS}: is missing; train the run first.")
    change = None
    if half:
        source = Path(Layout.data(run.dataset)) if data is None else data
        rounded, change = _halved(folder, source, evaluation)
        members[WEIGHTS] = rounded
    for name, array in PICTURES.items():
        if array in evaluation.arrays:
            members[name] = _picture(evaluation[array], evaluation.attributes["run"])
    public = {key: value for key, value in config.items() if key != "raw_data"}
    members["configuration.json"] = as_json(public)
    numbers = numbers_of(training, evaluation)
    members["run.json"] = as_json(describe(config, training, evaluation, numbers, change))
    title = catalogue(config)[run.dataset].title
    members["README.md"] = readme(run, numbers, members, left_out, change, title).encode()
    path = output / default_name(config, run) if output.is_dir() else output
    size = _write(path, run, members, left_out)
    return Exported(path, size, left_out)


def _check_settings(config: Config, run: Run, training: Stored, evaluation: Stored) -> None:
    settings = resolve(config, run)
    for found in (training, evaluation):
        if differing := sorted(differences(found.attributes["run"], settings)):
            raise ConfigError(
                f"{found.path}: was made with other settings than this configuration's "
                f"({', '.join(differing[:3])}); name the one it was made with "
                "(--config results/<profile>/config/<hash>.json), or run it again."
            )
    check_same_training(training.path.parent, f"rungs evaluate {run.path}")


def _compact(path: Path) -> tuple[bytes, list[str]]:
    """Return a results file without its large arrays and the weights before the continuation, and the
    names of what is left out."""
    found = result_file.read(path)
    wanted = KEPT | entry(found.attributes["run"]["model"]).verified.keys()
    # of weights a part is of no use
    kept = {n: a for n, a in found.arrays.items() if not n.startswith(SCHEDULED)}
    left_out = [SCHEDULED] if len(kept) < len(found.arrays) else []
    left_out += sorted(name for name, a in kept.items() if a.nbytes > LARGE and name not in wanted)
    if not left_out:
        return path.read_bytes(), []
    kept = {name: array for name, array in kept.items() if name not in left_out}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / path.name
        result_file.write(target, kept, found.attributes | {LEFT_OUT: left_out})
        return target.read_bytes(), left_out


def _halved(folder: Path, data: Path, evaluation: Stored) -> tuple[bytes, dict[str, Any]]:
    """Return the weights in float16, and what the rounding changes in the run's numbers."""
    from rungs.exchange.recomputation import rounding_change
    from rungs.storage.tensors import load_tensors, pack

    tensors, metadata = load_tensors(folder / WEIGHTS)
    small = {name: _half(name, tensor, folder) for name, tensor in tensors.items()}
    change = rounding_change(folder, data, small, evaluation)
    if not change["mean_change"] < HALF_TOLERANCE:
        raise StoreError(
            f"{folder}: float16 weights move {change['quantity']} by {change['mean_change']:.4f}, "
            f"{HALF_TOLERANCE} at most is allowed; export it without --half."
        )
    return pack(small, metadata), change


def _half(name: str, tensor: Tensor, folder: Path) -> Tensor:
    """Round a matrix to float16; leave anything else as it is."""
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return tensor  # biases and statistics are few
    rounded = tensor.half()
    if not bool(rounded.isfinite().all()):
        raise StoreError(
            f"{folder}: {name} has values beyond float16; export the run without --half."
        )
    return rounded


def _picture(images: np.ndarray, run: dict[str, Any]) -> bytes:
    """Draw a grid of up to 100 pictures as PNG."""
    from PIL import Image

    from rungs.figures.pictures import picture_grid

    buffer = io.BytesIO()
    Image.fromarray(picture_grid(images[:100], 10, run)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _write(path: Path, run: Run, members: Mapping[str, bytes], left_out: list[str]) -> int:
    """Write the zip file, and return its size."""
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "run": run.path,
        "left_out": left_out,
        "members": {n: {"bytes": len(c), "sha256": sha256(c)} for n, c in members.items()},
    }
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in MEMBERS:
            content = as_json(manifest) if name == MANIFEST else members.get(name)
            if content is None:
                continue
            member = zipfile.ZipInfo(name, DATE)
            member.create_system, member.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            stored = Path(name).suffix in (".safetensors", ".png")
            member.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            archive.writestr(member, content, compresslevel=9)
    return path.stat().st_size
