"""Tensors on disk, as safetensors: no pickle is ever read.

The file's metadata holds a checksum of all the rest, checked at every read. The same tensors give the
same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from rungs.errors import StoreError
from rungs.files import delete, sha256, write_bytes

CHECKSUM = "sha256"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors and text metadata, whole or not at all."""
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header, data = _split(save(copies))
    known = metadata | {CHECKSUM: _checksum(header, metadata, data)}
    # The library would write metadata in an order that differs from process to process.
    text = json.dumps({"__metadata__": dict(sorted(known.items())), **header}, ensure_ascii=False)
    encoded = text.encode()
    encoded += b" " * (-len(encoded) % 8)
    write_bytes(path, len(encoded).to_bytes(8, "little") + encoded + data)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what :func:`save_tensors` wrote, or another file of the format, which has no checksum.

    Raises:
        StoreError: if the file is missing, truncated, altered or not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
        checksum = metadata.pop(CHECKSUM, None)
        if checksum is not None and checksum != _checksum_of(path, metadata):
            raise ValueError("its content differs from its checksum")
    except (OSError, SafetensorError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}). {delete(path)} and run the same command again."
        ) from error
    return tensors, metadata


def _split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and data of a file of the format: the header's length in 8 bytes, the header, the data."""
    start = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:start]), content[start:]


def _checksum(header: dict[str, Any], metadata: dict[str, str], data: bytes) -> str:
    return sha256(json.dumps([header, metadata], sort_keys=True).encode() + data)


def _checksum_of(path: Path, metadata: dict[str, str]) -> str:
    header, data = _split(path.read_bytes())
    header.pop("__metadata__", None)
    return _checksum(header, metadata, data)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a trained model's weights and statistics.

    Raises:
        StoreError: if the file is damaged or belongs to a model of another shape.
    """
    tensors, _ = load_tensors(path)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise StoreError(
            f"{path}: holds another model's weights ({str(error).splitlines()[-1].strip()}). "
            f"{delete(path)} and train the run again."
        ) from error
