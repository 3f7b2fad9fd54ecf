"""Data: sources checked, damage named and refused, binarisation exact."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from rungs.data import DATASETS, mnist, prepare
from rungs.data.binarise import TrainingImages, binarise
from rungs.data.idx import read_idx
from rungs.data.prepared import Prepared
from rungs.errors import ConfigError, DataError, StoreError
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.storage.atomic import sha256
from rungs.study.identity import data_source


def idx(array: np.ndarray) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim])
    return header + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


IMAGES = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def test_embedded_digits_are_split_stratified(digits: Path) -> None:
    data = result_file.read(digits)
    for split, each in (("train", 400), ("test", 100)):
        assert np.bincount(data[f"{split}/labels"]).tolist() == [each] * 10
        assert data[f"{split}/images"].shape == (10 * each, 28, 28)
    everything = np.concatenate([data["train/images"], data["test/images"]]).reshape(5000, -1)
    source = result_file.read(ROOT / "resources" / "mnist5k.h5")["images"]
    key = lambda images: sorted(sha256(row.tobytes()) for row in images)  # noqa: E731
    assert key(everything) == key(source)
    assert "licence" in data.attributes["provenance"]


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path, digits: Path) -> None:
    again = tmp_path / "again.h5"
    prepare("mnist5k", None, tmp_path).write(again, data_source({}, "mnist5k"))
    assert again.read_bytes() == digits.read_bytes()


def test_complete_mnist(raw_data: Path, tmp_path: Path) -> None:
    data = prepare("mnist", raw_data, tmp_path)
    assert data.train_images.shape == (60000, 28, 28)
    assert data.train_images.mean() == pytest.approx(33.3184, abs=1e-4)
    assert np.bincount(data.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


def test_an_unknown_data_set_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'mnist5k'"):
        prepare("mnist5", None, tmp_path)


@pytest.mark.parametrize("packed", [True, False])
def test_idx_is_read_back(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("images.gz" if packed else "images")
    path.write_bytes(gzip.compress(idx(IMAGES)) if packed else idx(IMAGES))
    np.testing.assert_array_equal(read_idx(path, mnist.MAX_BYTES, sha256(idx(IMAGES))), IMAGES)


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


DAMAGE = {
    "truncated": (idx(IMAGES)[:-1], "promises shape|SHA-256"),
    "longer": (idx(IMAGES) + b"\0", "promises shape|SHA-256"),
    "empty": (b"", "IDX|SHA-256"),
    "header": (idx(IMAGES)[:7], "promises 3 dimensions|SHA-256"),
    "other type": (flipped(idx(IMAGES), 2), "IDX|SHA-256"),
    "pixel": (flipped(idx(IMAGES), -2 % len(idx(IMAGES))), "SHA-256"),
    "shape": (flipped(idx(IMAGES), 7), "promises shape|SHA-256"),
}


@pytest.mark.parametrize("kind", sorted(DAMAGE))
def test_damaged_idx_is_named_and_refused(tmp_path: Path, kind: str) -> None:
    content, message = DAMAGE[kind]
    path = tmp_path / "t10k-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path.name}.*({message})"):
        read_idx(path, mnist.MAX_BYTES, sha256(idx(IMAGES)))
    if kind != "pixel":
        with pytest.raises(DataError, match=message):
            read_idx(path, mnist.MAX_BYTES)


@pytest.mark.parametrize("position", [0, 12, -6])
def test_damaged_gzip_is_named_and_refused(tmp_path: Path, position: int) -> None:
    packed = gzip.compress(idx(IMAGES), mtime=0)
    path = tmp_path / "images.gz"
    path.write_bytes(flipped(packed, position % len(packed)))
    with pytest.raises(DataError, match=r"images\.gz"):
        read_idx(path, mnist.MAX_BYTES, sha256(idx(IMAGES)))
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match="truncated or corrupt"):
        read_idx(path, mnist.MAX_BYTES, sha256(idx(IMAGES)))


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(bytes(mnist.MAX_BYTES + 10)))
    with pytest.raises(DataError, match="larger than any file"):
        read_idx(path, mnist.MAX_BYTES)


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is missing.*download"):
        prepare("mnist", tmp_path, tmp_path)


@pytest.mark.parametrize("place", ["mnist", "MNIST/raw", "MNIST", "mnist/raw", "raw", "."])
@pytest.mark.parametrize(
    "name", ["{}-idx{}-ubyte", "{}.idx{}-ubyte", "{0}-idx{1}-ubyte/{0}-idx{1}-ubyte"]
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_mnist_is_found_under_its_usual_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str, ending: str
) -> None:
    if ending and "/" in name:
        pytest.skip("archives of folders are unpacked")
    arrays = {"train-images": IMAGES, "train-labels": np.arange(2, dtype=np.uint8)}
    arrays |= {"t10k-images": IMAGES[:1] + 1, "t10k-labels": np.array([3], dtype=np.uint8)}
    for stem, array in arrays.items():
        axes = 3 if "images" in stem else 1
        monkeypatch.setitem(mnist.FILES, f"{stem}-idx{axes}-ubyte", sha256(idx(array)))
        path = tmp_path / place / (name.format(stem, axes) + ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(idx(array)) if ending else idx(array))
    found = mnist.prepare(tmp_path, tmp_path)
    np.testing.assert_array_equal(found.train_images, IMAGES)
    np.testing.assert_array_equal(found.test_images, IMAGES[:1] + 1)
    assert (found.train_labels.tolist(), found.test_labels.tolist()) == ([0, 1], [3])


def test_the_wrong_shape_is_refused() -> None:
    labels = np.zeros(2, dtype=np.uint8)
    data = Prepared(IMAGES, labels, IMAGES, labels, {})
    data.check("toy", (3, 3), 2, 2)
    with pytest.raises(DataError, match=r"train images: expected uint8 of shape \(2, 28, 28\)"):
        data.check("toy", (28, 28), 2, 2)
    with pytest.raises(DataError, match="test labels"):
        Prepared(IMAGES, labels, IMAGES, labels[:1], {}).check("toy", (3, 3), 2, 2)


def test_a_flipped_byte_in_the_prepared_file_is_refused(tmp_path: Path, digits: Path) -> None:
    content = digits.read_bytes()
    path = tmp_path / "digits.h5"
    path.write_bytes(flipped(content, len(content) // 2))
    with pytest.raises(StoreError, match=r"digits\.h5.*damaged"):
        result_file.read(path)


def test_binarisation_is_bernoulli() -> None:
    """Exact at the ends, and the right frequencies between (a chi-square test of all)."""
    draws = 20_000
    intensities = torch.arange(256, dtype=torch.uint8).repeat(draws, 1)
    found = binarise(intensities, torch.Generator().manual_seed(0))
    assert set(found.unique().tolist()) == {0.0, 1.0}
    ones = found.sum(0).long().tolist()
    assert ones[0] == 0
    assert ones[255] == draws
    expected = draws * np.arange(1, 255) / 255
    deviations = (np.array(ones[1:255]) - expected) ** 2 / (expected * (1 - expected / draws))
    assert 0.001 < stats.chi2(254).cdf(deviations.sum()) < 0.999


def test_registry_entries_agree_with_their_modules() -> None:
    assert set(DATASETS) >= {"mnist5k", "mnist"}
    for entry in DATASETS.values():
        assert entry.module.startswith("rungs.data.")


def test_training_images_are_drawn_anew_each_epoch() -> None:
    """White and black pixels are sure, grey ones on with probability intensity / 255."""
    intensities = torch.tensor([[0, 255, 51, 204]], dtype=torch.uint8).expand(4000, 4).contiguous()
    inputs = TrainingImages(intensities, binary=True)
    random = torch.Generator().manual_seed(0)
    means = []
    for _ in range(2):
        inputs.begin_epoch(random)
        means.append(inputs.batch(torch.arange(4000)))
    assert not torch.equal(*means)
    for images in means:
        assert set(images.unique().tolist()) == {0.0, 1.0}
        mean = images.mean(0)
        assert mean[0] == 0
        assert mean[1] == 1
        assert abs(float(mean[2]) - 0.2) < 5 * 0.4 / 4000**0.5
        assert abs(float(mean[3]) - 0.8) < 5 * 0.4 / 4000**0.5
    grey = TrainingImages(intensities, binary=False)
    grey.begin_epoch(random)
    torch.testing.assert_close(grey.batch(torch.tensor([3])), intensities[:1].float() / 255)
