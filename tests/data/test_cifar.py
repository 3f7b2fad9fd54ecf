"""CIFAR-10: the archive's layout, and the subset."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from rungs.data import DATASETS, cifar10, prepare
from rungs.errors import DataError


def archive(folder: Path, records: int = 7, missing: int = 0) -> bytes:
    """An archive of the binary version with random records."""
    random = np.random.default_rng(0)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        for name in (*cifar10.TRAIN, *cifar10.TEST):
            content = random.integers(0, 256, (records, cifar10.RECORD), dtype=np.uint8)
            content[:, 0] %= 10
            np.save(folder / name, content)
            body = content.tobytes()[: len(content.tobytes()) - missing]
            entry = tarfile.TarInfo(f"{cifar10.FOLDER}/{name}")
            entry.size = len(body)
            packed.addfile(entry, io.BytesIO(body))
    return stream.getvalue()


def test_records_are_planes_of_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", 7)
    found = cifar10.from_archive(archive(tmp_path), Path("x"))
    assert found.train_images.shape == (35, 32, 32, 3)
    second = np.load(tmp_path / "data_batch_2.bin.npy")
    assert found.train_labels[7] == second[0, 0]
    # red is the first thousand bytes, row by row
    assert found.train_images[7, 3, 5, 0] == second[0, 1 + 3 * 32 + 5]
    assert found.train_images[7, 3, 5, 2] == second[0, 1 + 2048 + 3 * 32 + 5]
    test = np.load(tmp_path / "test_batch.bin.npy")
    assert (found.test_labels == test[:, 0]).all()


def test_damaged_archives_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", 7)
    with pytest.raises(DataError, match=r"data_batch_1\.bin has .* bytes"):
        cifar10.from_archive(archive(tmp_path, missing=1), Path("x"))
    with pytest.raises(DataError, match="not the archive"):
        cifar10.from_archive(b"nonsense", Path("x"))
    folder = tmp_path / "cifar10"
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="its checksum is"):
        prepare("cifar10", tmp_path, tmp_path)


def test_the_subset(raw_data: Path, tmp_path: Path) -> None:
    if not (raw_data / "cifar10").is_dir():
        pytest.skip("no cifar10 among the raw data")
    found = prepare("cifar10-10k", raw_data, tmp_path)
    assert found.train_images.shape == (10_000, *DATASETS["cifar10-10k"].shape)
    assert found.test_images.shape == (1_000, 32, 32, 3)
    assert set(found.train_labels) == set(range(10))
    with pytest.raises(DataError, match="cifar10-10k needs less"):
        prepare("cifar10", raw_data, tmp_path)
