"""One trained run as one small file, to hand on: a zip archive of a fixed set of members.

==================================  ===============================================================
member                              what it is
==================================  ===============================================================
``manifest.json``                   format, run, size and SHA-256 of every other member
``README.md``                       the run in words and numbers
``run.json``                        its settings, its numbers, keys and origin
``configuration.json``              the complete configuration that it was trained with
``weights.safetensors``             the weights, float32, or matrices in float16 if so asked
``training.h5, evaluation.h5``      as in the run's folder, without large arrays (:data:`LARGE`)
``training-cost.json`` ...          what it cost
``prior/...``                       the prior that was learnt over its codes, if it has one
``figures/...png``                  samples and reconstructions
==================================  ===============================================================

The same run gives the same bytes on the same machine: members have a fixed order and date. What an
archive is unpacked from is not trusted: only these members are accepted, each checked against its
size and hash, and nothing is unpickled.
"""

from __future__ import annotations

import io
import json
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rungs.data import catalogue
from rungs.errors import ArchiveError, ConfigError, RungsError, StoreError
from rungs.evaluation.convergence import converged
from rungs.evaluation.definitions import ACTIVE_KL
from rungs.models import entry
from rungs.storage import hdf5, result_file
from rungs.storage.atomic import replacing, sha256
from rungs.storage.result_file import Stored
from rungs.study.layers import Config
from rungs.study.layout import EVALUATION, EVALUATION_COST, HISTORY, TRAINING_COST, WEIGHTS, Layout
from rungs.study.runs import PRIOR_FOLDER, Run
from rungs.study.settings import code_prior_settings, resolve

if TYPE_CHECKING:
    from torch import Tensor

FORMAT, VERSION = "rungs-archive", 1
MANIFEST = "manifest.json"
DATE = (1980, 1, 1, 0, 0, 0)
REQUIRED = (
    *("README.md", "run.json", "configuration.json"),
    *(WEIGHTS, HISTORY, EVALUATION),
)
PRIOR_FILES = (f"{PRIOR_FOLDER}/{WEIGHTS}", f"{PRIOR_FOLDER}/{HISTORY}")
PICTURES = {
    "figures/samples.png": "pictures/samples",
    "figures/reconstructions.png": "pictures/reconstructions",
}
COSTS = (TRAINING_COST, EVALUATION_COST, f"{PRIOR_FOLDER}/{TRAINING_COST}")
MEMBERS = (MANIFEST, *REQUIRED, *PRIOR_FILES, *PICTURES, *COSTS)
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
#: the attribute of a file that is not complete: names of the arrays that were left out
LEFT_OUT = "left_out"
#: what an archive may hold unpacked, and its JSON files
MOST_BYTES, MOST_JSON = 2**30, 2**22
#: float16 weights may move the mean L_k of a run's test images by less than this, nats
HALF_TOLERANCE = 0.01


@dataclass(frozen=True)
class Exported:
    """An archive that was written: its file, its size in bytes, and what was left out of it."""

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
    members["configuration.json"] = _json(public)
    numbers = numbers_of(training, evaluation)
    members["run.json"] = _json(_describe(config, training, evaluation, numbers, change))
    title = catalogue(config)[run.dataset].title
    members["README.md"] = _readme(run, numbers, members, left_out, change, title).encode()
    path = output / default_name(config, run) if output.is_dir() else output
    size = _write(path, run, members, left_out)
    return Exported(path, size, left_out)


def _check_settings(config: Config, run: Run, training: Stored, evaluation: Stored) -> None:
    settings = resolve(config, run)
    for found in (training, evaluation):
        if found.attributes["run"] != settings:
            raise ConfigError(
                f"{found.path}: was made with other settings than this configuration's; name the one "
                "it was made with (--config results/<profile>/config/<hash>.json), or run it again."
            )


def _compact(path: Path) -> tuple[bytes, list[str]]:
    """A results file without its large arrays, and their names."""
    found = result_file.read(path)
    wanted = KEPT | entry(found.attributes["run"]["model"]).verified.keys()
    left_out = sorted(
        name for name, a in found.arrays.items() if a.nbytes > LARGE and name not in wanted
    )
    if not left_out:
        return path.read_bytes(), []
    kept = {name: array for name, array in found.arrays.items() if name not in left_out}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / path.name
        result_file.write(target, kept, found.attributes | {LEFT_OUT: left_out})
        return target.read_bytes(), left_out


def _halved(folder: Path, data: Path, evaluation: Stored) -> tuple[bytes, dict[str, Any]]:
    """The weights in float16, and what the rounding does to the run's numbers."""
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
    """A matrix in float16; anything else as it is."""
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return tensor  # biases and statistics are few
    rounded = tensor.half()
    if not bool(rounded.isfinite().all()):
        raise StoreError(
            f"{folder}: {name} has values beyond float16; export the run without --half."
        )
    return rounded


def _picture(images: np.ndarray, run: dict[str, Any]) -> bytes:
    """A grid of up to 100 pictures as PNG."""
    from PIL import Image

    from rungs.figures.pictures import picture_grid

    buffer = io.BytesIO()
    Image.fromarray(picture_grid(images[:100], 10, run)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def numbers_of(training: Stored, evaluation: Stored) -> dict[str, Any]:
    """Return the run's headline numbers: means over images, of bounds in nats.

    A model without a likelihood has the means of the arrays that are verified.
    """
    settings = training.attributes["run"]
    found: dict[str, Any] = {
        "parameters": training.attributes["parameters"],
        "epochs": settings["training"]["epochs"],
        "converged": converged(training, evaluation),
    }
    arrays = evaluation.arrays
    if "test/lk" in arrays:
        lk = arrays["test/lk"]
        found |= {
            "train_elbo": float(arrays["train/elbo"].mean(dtype=np.float64)),
            "test_elbo": float(arrays["test/elbo"].mean()),
            "k": int(arrays["test/nested_k"][-1]),
            "test_lk": float(lk.mean()),
            "test_lk_se": float(lk.std(ddof=1) / len(lk) ** 0.5) if len(lk) > 1 else None,
            "test_images": len(lk),
        }
    else:
        for name in entry(settings["model"]).verified:
            values = evaluation[name]
            if values.ndim == 1:
                quantity = name.rpartition("/")[2]
                found |= {quantity: float(values.mean()), "test_images": len(values)}
    if layers := evaluation.layers("kl"):
        found["active_units"] = [int((layer > ACTIVE_KL).sum()) for layer in layers]
    return found


def _describe(
    config: Config,
    training: Stored,
    evaluation: Stored,
    numbers: dict[str, Any],
    half: dict[str, Any] | None,
) -> dict[str, Any]:
    files = {"training": training.attributes, "evaluation": evaluation.attributes}
    return {
        "profile": config["profile"],
        "run": training.attributes["run"],
        "evaluation": evaluation.attributes["evaluation"],
        "numbers": numbers,
        "float16": half,
        "keys": {name: attributes.get("key") for name, attributes in files.items()},
        "provenance": {name: attributes["provenance"] for name, attributes in files.items()},
    }


def _readme(
    run: Run,
    numbers: Mapping[str, Any],
    members: Mapping[str, bytes],
    left_out: list[str],
    half: dict[str, Any] | None,
    title: str,
) -> str:
    lines = [f"# {run.path}", "", "A trained run of rungs, written by `rungs export`.", ""]
    lines += [f"- {name.replace('_', ' ')}: {_text(value)}" for name, value in numbers.items()]
    if half is not None:
        lines.append(
            f"- weights: float16, which moves {half['quantity']} of {half['images']} test images by "
            f"{half['mean_change']:.4f} on average; the numbers above are the float32 run's"
        )
    lines += ["", f"Data: {title}. Log-likelihoods in nats per image."]
    lines += ["", "```sh"]
    lines += ["rungs load THIS.zip --as some/folder   # unpack and show the numbers"]
    lines += ["rungs verify THIS.zip                  # compute a sample of them again", "```", ""]
    lines += [f"![{Path(n).stem}]({n})" for n in PICTURES if n in members]
    lines += ["", "Left out, to stay small (arrays above 256 KiB):"]
    lines += [f"- {name}" for name in left_out] or ["nothing"]
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _write(path: Path, run: Run, members: Mapping[str, bytes], left_out: list[str]) -> int:
    """Write the zip file; its size."""
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "run": run.path,
        "left_out": left_out,
        "members": {n: {"bytes": len(c), "sha256": sha256(c)} for n, c in members.items()},
    }
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in MEMBERS:
            content = _json(manifest) if name == MANIFEST else members.get(name)
            if content is None:
                continue
            member = zipfile.ZipInfo(name, DATE)
            member.create_system, member.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            stored = Path(name).suffix in (".safetensors", ".png")
            member.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            archive.writestr(member, content, compresslevel=9)
    return path.stat().st_size


def open_archive(path: Path, folder: Path | None = None) -> Path:
    """Unpack an archive into a run folder, every member checked.

    Args:
        folder: where to; by default one named after the archive beside it. It must not be there
            yet, or hold the same archive, which then is checked again.

    Returns:
        The folder. It can be loaded, evaluated and verified as a run's.

    Raises:
        ArchiveError: if the file is no archive of a run, damaged, or not to be trusted.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ArchiveError(f"{path}: is no archive, but a folder, a pipe or the like.")
    if not path.is_file():
        raise ArchiveError(f"{path}: there is no such archive.")
    target = path.with_suffix("") if folder is None else Path(folder)
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _read_manifest(path, archive)
            if target.exists():
                _compare(path, target, manifest)
                check_folder(target)
                return target
            _unpack(path, archive, manifest, target)
    except RungsError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArchiveError(f"{path}: cannot be unpacked into {target} ({reason}).") from error
    except (zipfile.BadZipFile, NotImplementedError, ValueError, RuntimeError, EOFError) as error:
        raise _refused(path, str(error)) from error
    except zlib.error as error:
        raise _refused(path, "a member cannot be decompressed") from error
    return target


def _refused(path: Path, reason: str) -> ArchiveError:
    return ArchiveError(
        f"{path}: is damaged or not written by rungs ({reason}). Get it again, or export it again."
    )


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest, once the members that the zip file lists are those that it may have."""
    entries = archive.infolist()
    names = [member.filename for member in entries]
    for member in entries:
        if member.filename not in MEMBERS:
            raise _refused(path, f"unexpected member {member.filename[:100]!r}")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _refused(path, f"member {member.filename!r} is not a plain file")
        if member.flag_bits & 0x1:
            raise _refused(path, f"member {member.filename!r} is encrypted")
        if Path(member.filename).suffix == ".json" and member.file_size > MOST_JSON:
            raise _refused(path, f"member {member.filename!r} has {member.file_size:,} bytes")
    if len(set(names)) != len(names):
        raise _refused(path, "a member is there twice")
    if sum(member.file_size for member in entries) > MOST_BYTES:
        raise _refused(path, f"it unpacks to more than {MOST_BYTES:,} bytes")
    if MANIFEST not in names:
        raise _refused(path, f"it has no {MANIFEST}")
    manifest = _parse(path, MANIFEST, _member(path, archive, MANIFEST, MOST_JSON))
    if manifest.get("format") != FORMAT:
        raise _refused(path, f"{MANIFEST} is not of the format {FORMAT}")
    if (version := manifest.get("version")) != VERSION:
        raise ArchiveError(
            f"{path}: has version {str(version)[:20]} of its format, and this version of rungs reads "
            f"{VERSION}. Read it with the version of rungs that wrote it, or export the run again."
        )
    listed = manifest.get("members")
    if not isinstance(listed, dict):
        raise _refused(path, f"{MANIFEST} lists no members")
    for name in sorted({*REQUIRED, *listed, *names} - {MANIFEST}):
        if name not in listed or name not in names:
            raise _refused(path, f"member {name[:100]!r} is missing, or not in {MANIFEST}")
        if not isinstance(listed[name], dict):
            raise _refused(path, f"{MANIFEST} says nothing of {name!r}")
        if listed[name].get("bytes") != archive.getinfo(name).file_size:
            raise _refused(path, f"member {name!r} has another size than {MANIFEST} says")
    return manifest


def _member(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A member's bytes; a zip file may lie about their number."""
    with archive.open(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _refused(path, f"member {name!r} is longer than it says")
    return content


def _parse(path: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"{name} is not JSON") from error
    if not isinstance(parsed, dict):
        raise _refused(path, f"{name} is not a JSON object")
    return parsed


def _unpack(path: Path, archive: zipfile.ZipFile, manifest: dict[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        part.chmod(0o755)
        for name in (MANIFEST, *sorted(manifest["members"])):
            content = _member(path, archive, name, archive.getinfo(name).file_size)
            (part / name).parent.mkdir(exist_ok=True)
            (part / name).write_bytes(content)
        try:
            check_folder(part)
        except StoreError as error:
            raise ArchiveError(str(error).replace(str(part), str(path))) from error
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _compare(path: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Refuse to write into a folder that has something else."""
    there = target / MANIFEST
    if not there.is_file() or _parse(there, MANIFEST, there.read_bytes()) != manifest:
        raise ArchiveError(
            f"{target}: is there already and not from {path}; name another folder (--as)."
        )


def check_folder(folder: Path) -> dict[str, Any]:
    """Check an unpacked archive: every file's hash, the files' form, and that they are of one run.

    Returns:
        Its manifest.

    Raises:
        ArchiveError, StoreError: naming the file.
    """
    manifest = _parse(folder / MANIFEST, MANIFEST, (folder / MANIFEST).read_bytes())
    for name, listed in manifest["members"].items():
        path = folder / name
        if name not in MEMBERS or not path.is_file() or path.is_symlink():
            raise _refused(path, "the file is missing")
        if sha256(path.read_bytes()) != listed.get("sha256"):
            raise _refused(path, f"it differs from its checksum in {MANIFEST}")
    names = (HISTORY, EVALUATION, *PRIOR_FILES[1:])
    stored = [folder / name for name in names if (folder / name).is_file()]
    if reason := hdf5.crashes(*stored):
        raise _refused(folder, reason)
    for path in stored:
        _check_arrays(path)
    run = manifest.get("run")
    training, evaluation = (result_file.read(folder / name) for name in (HISTORY, EVALUATION))
    described = _parse(folder / "run.json", "run.json", (folder / "run.json").read_bytes())
    settings = training.attributes.get("run")
    if not isinstance(settings, dict) or settings.get("run") != run:
        raise _refused(folder / HISTORY, f"it is not of the run {run!r}")
    if evaluation.attributes.get("run") != settings or described.get("run") != settings:
        raise _refused(folder, "its files are not of one run")
    if not isinstance(described.get("numbers"), dict):
        raise _refused(folder / "run.json", "it has no numbers")
    _check_weights(folder / WEIGHTS, training)
    if (folder / PRIOR_FILES[1]).is_file():
        prior = result_file.read(folder / PRIOR_FILES[1], only=())
        if prior.attributes["run"].get("run") != f"{run}/{PRIOR_FOLDER}":
            raise _refused(folder / PRIOR_FILES[1], "it is the prior of another run")
        _check_weights(folder / PRIOR_FILES[0], prior)
    return manifest


def _check_arrays(path: Path) -> None:
    """An HDF5 file can point to other files and declare arrays that no memory holds."""
    try:
        result_file.check_arrays(path)
    except StoreError as error:
        raise ArchiveError(str(error)) from error


def _check_weights(path: Path, training: Stored) -> None:
    """The tensors are those of the model which the settings describe, by name and shape, before
    memory is given to such a model."""
    from rungs.models import outline
    from rungs.storage.tensors import shapes

    found = shapes(path)
    try:
        settings = training.attributes["run"]
        model = outline(settings["model"], training.attributes["pixels"], settings["network"])
        expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    except Exception as error:  # whatever a model makes of strange settings
        raise _refused(path, "the run's settings describe no model of this version") from error
    if found != expected:
        raise _refused(path, "it holds another model's weights")
