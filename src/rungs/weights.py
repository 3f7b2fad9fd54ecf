"""Tensors on disk, as safetensors: no pickle is ever read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rungs.errors import StoreError
from rungs.files import replacing


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors and text metadata, whole or not at all."""
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(copies, temporary, metadata)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what :func:`save_tensors` wrote.

    Raises:
        StoreError: if the file is missing, truncated or not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except (OSError, SafetensorError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}). Delete it and run the same command again."
        ) from error


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
            "Delete it and train the run again."
        ) from error
