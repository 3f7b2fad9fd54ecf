"""OMNIGLOT: two data sets that are never mixed up."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from rungs.data import omniglot, omniglot28, prepare
from rungs.data.sources import download, git_blob_id, read_checked
from rungs.errors import DataError


def chardata(train: int = 6, test: int = 4) -> tuple[bytes, np.ndarray]:
    """A small file of the papers' form: images are columns, stored column by column."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (train + test, 28, 28)).astype(np.uint8)
    columns = images.transpose(0, 2, 1).reshape(train + test, 784).T / 255
    targets = np.eye(50)[:, random.integers(0, 50, train + test)]
    file = io.BytesIO()
    scipy.io.savemat(
        file,
        {
            "data": columns[:, :train],
            "target": targets[:, :train],
            "testdata": columns[:, train:],
            "testtarget": targets[:, train:],
        },
    )
    return file.getvalue(), images


def test_chardata_is_read_upright() -> None:
    content, images = chardata()
    found = omniglot.from_mat(content, Path("chardata.mat"))
    np.testing.assert_array_equal(np.concatenate([found.train_images, found.test_images]), images)
    assert found.train_labels.shape == (6,)


@pytest.mark.parametrize("content", [b"", b"no mat file", chardata()[0][:200]])
def test_what_is_no_chardata_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"chardata\.mat: is not"):
        omniglot.from_mat(content, Path("chardata.mat"))


def test_intensities_outside_the_unit_interval_are_refused() -> None:
    file = io.BytesIO()
    bad = {"data": np.full((784, 2), 3.0), "testdata": np.zeros((784, 2))}
    scipy.io.savemat(file, bad | {"target": np.eye(50)[:, :2], "testtarget": np.eye(50)[:, :2]})
    with pytest.raises(DataError, match="outside"):
        omniglot.from_mat(file.getvalue(), Path("chardata.mat"))


def test_another_chardata_is_refused_by_its_blob_id(tmp_path: Path) -> None:
    (tmp_path / "omniglot").mkdir()
    path = tmp_path / "omniglot" / "chardata.mat"
    path.write_bytes(chardata()[0])
    with pytest.raises(DataError, match=rf"chardata\.mat: its checksum.*{omniglot.BLOB}"):
        prepare("omniglot", tmp_path, tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"chardata\.mat is missing.*omniglot28"):
        prepare("omniglot", tmp_path, tmp_path)


def test_blob_ids_are_gits() -> None:
    assert git_blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert git_blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_sources_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    assert read_checked(path, git_blob_id(b"hello\n"), 100) == b"hello\n"
    with pytest.raises(DataError, match="checksum"):
        read_checked(path, git_blob_id(b"hello\n"), 3)
    with pytest.raises(DataError, match="is missing"):
        read_checked(tmp_path / "none", "0" * 40, 100)
    with pytest.raises(DataError, match="over TLS"):
        download("http://example.org/x", tmp_path / "x", 10)


def test_reduction_averages_areas() -> None:
    """Against averaging over a 4-fold enlargement, where a small pixel is 15 x 15 whole ones."""
    random = np.random.default_rng(0)
    ink = random.random((3, 105, 105)) < 0.3
    fine = ink.repeat(4, axis=1).repeat(4, axis=2).reshape(3, 28, 15, 28, 15)
    expected = np.rint(255 * fine.mean((2, 4)))
    assert np.abs(omniglot28.reduce(ink).astype(int) - expected).max() <= 1
    assert omniglot28.reduce(np.ones((1, 105, 105), bool)).min() == 255


def test_omniglot28(raw_data: Path, tmp_path: Path) -> None:
    if not (raw_data / "omniglot").is_dir():
        pytest.skip("no originals of OMNIGLOT")
    data = prepare("omniglot28", raw_data, tmp_path)
    assert data.train_images.shape == (24345, 28, 28)
    assert data.test_images.shape == (8115, 28, 28)
    labels = np.concatenate([data.train_labels, data.test_labels])
    counts = [n for one in omniglot28.ALPHABETS.values() for n in one.values()]
    assert np.bincount(labels).tolist() == [20 * n for n in counts]
    assert len(counts) == 50
    assert (data.train_images == 0).mean() > 0.75, "ink is 1, paper 0"
    assert "not the papers' split" in data.provenance["source"]


def test_a_damaged_original_is_refused(raw_data: Path, tmp_path: Path) -> None:
    name = "images_evaluation"
    source = raw_data / "omniglot" / f"{name}.npz"
    if not source.is_file():
        pytest.skip("no originals of OMNIGLOT")
    (tmp_path / "omniglot").mkdir()
    content = bytearray(source.read_bytes())
    content[1000] ^= 1
    (tmp_path / "omniglot" / f"{name}.npz").write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}\.npz: its checksum"):
        omniglot28._from_npz(tmp_path, name)
