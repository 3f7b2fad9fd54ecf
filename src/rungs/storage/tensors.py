"""Tensors on disk, as safetensors: no pickle is ever read.

Both ways go through numpy. ``safetensors.torch`` makes a ctypes type for every length of a tensor that
it writes, and ``safe_open`` two integers for every tensor that it reads (0.8.0), which Python keeps for
ever: 7 kB a checkpoint, as histories grow, and 6 kB each time that a ladder's weights are read.

The format has no checksum, so a flipped bit would be a slightly other model. Its metadata therefore
hold the SHA-256 of names, types, shapes and values, checked at every read, and the version of the
format. All metadata are one JSON text: the library writes several keys in no fixed order, and the
same tensors must give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save
from torch import Tensor, nn

from rungs.errors import StoreError
from rungs.storage.atomic import delete, write_bytes
from rungs.storage.formats import TENSORS, check_version

#: the one key of a file's metadata
KEY = "rungs"


def pack(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file of named tensors and text metadata."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    document = {
        "format": TENSORS,
        "metadata": dict(metadata),
        "sha256": _hash(plain, metadata),
    }
    arrays = {name: tensor.numpy() for name, tensor in plain.items()}
    return save(arrays, {KEY: json.dumps(document, sort_keys=True)})


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors and text metadata, whole or not at all."""
    write_bytes(path, pack(tensors, metadata))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what :func:`save_tensors` wrote.

    Raises:
        StoreError: if the file is missing, truncated, altered or not safetensors.
    """
    if not path.is_file():
        raise _unreadable(path, "there is no such file")
    try:
        data = path.read_bytes()
        tensors = {name: torch.from_numpy(array) for name, array in load(data).items()}
        document = json.loads(_header(data).get("__metadata__", {}).get(KEY, "{}"))
        metadata = {str(name): str(text) for name, text in document.get("metadata", {}).items()}
        expected, version = document.get("sha256"), document.get("format", 1)
    except Exception as error:  # whatever the library finds in a broken file
        raise _unreadable(path, str(error)) from error
    if expected is None:
        raise _unreadable(path, "it has no checksum of rungs")
    check_version(path, version, TENSORS)
    if _hash(tensors, metadata) != expected:
        raise _unreadable(path, "its values differ from their checksum")
    return tensors, metadata


def _header(data: bytes) -> dict[str, Any]:
    """Parse the first bytes of the file: the length of a JSON text, and the text."""
    length = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    return header


def load_weights(model: nn.Module, path: Path, may_lack: Collection[str] = ()) -> None:
    """Load a trained model's weights and statistics.

    Args:
        may_lack: names of parameters that the file need not have; where it has not, the model keeps its own.

    Raises:
        StoreError: if the file is damaged, belongs to a model of another shape, or holds values that
            are not finite.
    """
    set_weights(model, load_tensors(path)[0], path, may_lack)


def set_weights(
    model: nn.Module, tensors: dict[str, Tensor], path: Path, may_lack: Collection[str] = ()
) -> None:
    """Give a model weights and statistics that were read from a file; as :func:`load_weights`."""
    for name, own in model.state_dict().items():
        if name in may_lack:
            tensors.setdefault(name, own)
        found = tensors.get(name)
        if found is None:
            continue  # told below
        if found.is_floating_point() != own.is_floating_point() or found.is_complex():
            raise StoreError(
                f"{path}: {name} is of type {found.dtype}, expected {own.dtype}. {delete(path)} and train "
                "the run again."
            )
        if found.is_floating_point() and not bool(torch.isfinite(found).all()):
            raise StoreError(
                f"{path}: {name} has values that are not finite. {delete(path)} and train the run again."
            )
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise StoreError(
            f"{path}: holds another model's weights ({str(error).splitlines()[-1].strip()}). "
            f"{delete(path)} and train the run again."
        ) from error


def shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes of a file's tensors, without reading them.

    Raises:
        StoreError: if it is not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise _unreadable(path, str(error)) from error


def _hash(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    found = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        if tensor.numel():
            found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _unreadable(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"{path}: cannot be read ({reason}). {delete(path)} and run the same command again."
    )
