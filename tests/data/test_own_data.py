"""One's own images as a data set: read, checked, converted, split; damage and mistakes named."""

from __future__ import annotations

import copy
import gzip
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rungs.data import catalogue, content, prepare, shape_of
from rungs.data.array_files import READERS
from rungs.data.own import complete, find
from rungs.data.own import prepare as read
from rungs.data.own_sources import MOST_PIXELS, Wanted, read_picture
from rungs.data.prepared import Prepared
from rungs.errors import ConfigError, DataError, RungsError
from rungs.study import profile as configuration
from rungs.study.runs import Run
from rungs.study.settings import resolve
from rungs.study.validation import validate

COUNT = 60


def digits(count: int = COUNT, shape: tuple[int, ...] = (8, 6)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def write_folder(folder: Path, images: np.ndarray, classes: int = 0) -> Path:
    for number, image in enumerate(images):
        place = folder / f"class{number % classes}" if classes else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number:03d}.png")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "pictures", digits())


def with_data(config: dict[str, Any], **entry: Any) -> dict[str, Any]:
    new = copy.deepcopy(config)
    new["datasets"] = {"mine": entry}
    new["experiments"]["ladder"][0]["datasets"] = ["mine"]
    return new


def rows(*parts: np.ndarray) -> list[bytes]:
    """The images of several arrays, whatever their order."""
    return sorted(image.tobytes() for image in np.concatenate(parts))


def test_what_is_left_out_is_said_with_its_count(folder: Path) -> None:
    (folder / ".hidden.png").write_text("x")
    (folder / ".git").mkdir()
    for name in ("notes.txt", "labels.json", "Makefile"):
        (folder / name).write_text("x")
    (folder / "broken.png").symlink_to("nowhere.png")
    (folder / "again").symlink_to(folder)
    (folder / "above").symlink_to("/")
    made = read("mine", {"images": str(folder)})
    assert rows(made.train_images, made.test_images) == rows(digits())
    (note,) = made.provenance["notes"]
    assert note == (
        f"{folder}: left out: 3 files with other suffixes, 2 hidden files and folders, 2 links that lead "
        "back, 1 links to nothing (.json, .txt, none)"
    )


def test_linked_folders_are_classes_by_their_own_names(tmp_path: Path) -> None:
    """In the order of the names, wherever the links lead."""
    images = digits()
    write_folder(tmp_path / "a" / "cat", images[:20])
    write_folder(tmp_path / "elsewhere" / "z" / "deep", images[20:40])
    write_folder(tmp_path / "a" / "dog", images[40:])
    (tmp_path / "a" / "bird").symlink_to(tmp_path / "elsewhere" / "z")
    (tmp_path / "elsewhere" / "z" / "loop").symlink_to(tmp_path / "a")
    made = read("mine", {"images": str(tmp_path / "a"), "labels": "folders"})
    assert made.provenance["classes"] == ["bird", "cat", "dog"]
    for code, part in enumerate((images[20:40], images[:20], images[40:])):
        of_class = [made.train_images[made.train_labels == code]]
        of_class.append(made.test_images[made.test_labels == code])
        assert rows(*of_class) == rows(part)
    # a link to a folder of the same tree is no class of its own
    (tmp_path / "a" / "aaa").symlink_to(tmp_path / "a" / "dog")
    again = read("mine", {"images": str(tmp_path / "a"), "labels": "folders"})
    assert again.provenance["classes"] == ["bird", "cat", "dog"]


@pytest.mark.parametrize(
    ("training", "testing"),
    [
        ("train", "val"),
        ("train", "test"),
        ("Training", "Validation"),
        ("images_train", "images_val"),
        ("train2017", "val2017"),
        ("imagesTrain", "imagesTest"),
        ("data/train", "data/test"),
    ],
)
def test_folders_of_splits_are_not_mixed(tmp_path: Path, training: str, testing: str) -> None:
    write_folder(tmp_path / "all" / training, digits(), classes=2)
    write_folder(tmp_path / "all" / testing, digits(20), classes=2)
    write_folder(tmp_path / "all" / "extra", digits(20), classes=2)
    entry = {"images": str(tmp_path / "all")}
    remedy = (
        f"set datasets.mine.images to {tmp_path / 'all' / training} and datasets.mine.test.images "
    )
    remedy += f"to {tmp_path / 'all' / testing}"
    for labels in ({}, {"labels": "folders"}):
        with pytest.raises(DataError) as caught:
            find("mine", entry | labels)
        assert remedy in str(caught.value)
    assert find("mine", entry | {"test": {"fraction": 0.2}})["train"] == 80
    apart = {"images": str(tmp_path / "all" / training), "labels": "folders"}
    made = read("mine", apart | {"test": {"images": str(tmp_path / "all" / testing)}})
    assert made.provenance["classes"] == ["class0", "class1"]


def test_splits_below_classes_are_to_be_moved(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for split in ("train", "test"):
            write_folder(tmp_path / "all" / name / split, digits(20))
    with pytest.raises(DataError, match="move them into one folder of 'train' and one of 'test'"):
        find("mine", {"images": str(tmp_path / "all"), "labels": "folders"})


def test_classes_are_compared_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", digits(30), classes=3)
    write_folder(tmp_path / "b", digits(12), classes=4)
    entry = {"images": str(tmp_path / "a"), "labels": "folders"}
    with pytest.raises(DataError) as caught:
        read("mine", entry | {"test": {"images": str(tmp_path / "b")}})
    assert "3 test images are of classes that the training images of" in str(caught.value)
    assert "lack ('class3'; it has 'class0', 'class1', 'class2')" in str(caught.value)
    write_folder(tmp_path / "c" / "CLASS1", digits(20))
    write_folder(tmp_path / "c", digits(30), classes=3)
    made = read("mine", {"images": str(tmp_path / "c"), "labels": "folders"})
    assert "classes 'CLASS1' and 'class1' differ by case, blanks" in made.provenance["notes"][0]
    for like in ("class1 ", "class\N{SUPERSCRIPT ONE}"):
        write_folder(tmp_path / "d" / like, digits(20))
        write_folder(tmp_path / "d", digits(30), classes=3)
        made = read("mine", {"images": str(tmp_path / "d"), "labels": "folders"})
        assert f"{like!r} differ by case, blanks" in made.provenance["notes"][0]
        shutil.rmtree(tmp_path / "d")
    accents = np.array(
        ["caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"] * 20
    )
    np.savez(tmp_path / "e.npz", x=digits(40), y=accents)
    made = read("mine", {"images": str(tmp_path / "e.npz"), "array": "x", "labels": "y"})
    assert "encoding of accents only" in made.provenance["notes"][0]
    write_folder(tmp_path / "d", digits(12), classes=2)
    made = read("mine", entry | {"test": {"images": str(tmp_path / "d")}})
    assert made.provenance["notes"] == ["no test images of 1 classes ('class2')"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=st.lists(st.integers(0, 40), min_size=30, max_size=30), seed=st.integers(0, 10**6))
def test_every_class_has_a_training_image(tmp_path: Path, labels: list[int], seed: int) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, images=digits(30), y=np.array(labels))
    entry = {"images": str(path), "labels": "y", "test": {"fraction": 0.34, "seed": seed}}
    if len(set(labels)) > 20:
        with pytest.raises(DataError, match="too many for 20 training images"):
            read("mine", entry)
        return
    made = read("mine", entry)
    assert (len(made.train_images), len(made.test_images)) == (20, 10)
    assert rows(made.train_images, made.test_images) == rows(digits(30))
    assert set(made.test_labels) <= set(made.train_labels)
    known = dict(zip((i.tobytes() for i in digits(30)), labels, strict=True))
    for images, codes in (
        (made.train_images, made.train_labels),
        (made.test_images, made.test_labels),
    ):
        names = [made.provenance["classes"][code] for code in codes]
        assert [int(name) for name in names] == [known[i.tobytes()] for i in images]


@pytest.mark.parametrize("suffix", ["npz", "h5", "vlen.h5"])
def test_names_in_bytes_are_text(tmp_path: Path, suffix: str) -> None:
    names = np.array(["chat", "chien", "b\u00eate"] * 20)
    path, encoded = tmp_path / f"mine.{suffix}", np.char.encode(names, "utf-8")
    latin = np.char.encode(names, "latin-1")
    if suffix == "npz":
        np.savez(path, images=digits(), y=encoded, latin=latin)
    else:
        with h5py.File(path, "w") as file:
            file["images"], file["latin"] = digits(), latin
            file["y"] = encoded if suffix == "h5" else [str(name) for name in names]
    made = read("mine", {"images": str(path), "array": "images", "labels": "y"})
    assert made.provenance["classes"] == ["b\u00eate", "chat", "chien"]
    with pytest.raises(DataError, match=r"labels 'latin': that of image 2, .* is not in UTF-8"):
        read("mine", {"images": str(path), "array": "images", "labels": "latin"})


def idx(array: np.ndarray) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim])
    return header + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_are_own_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    """As Fashion-MNIST is distributed."""
    monkeypatch.chdir(tmp_path)
    end = ".gz" if packed else ""
    labels = (np.arange(COUNT) % 4).astype(np.uint8)
    for name, array in (
        ("train-images-idx3-ubyte", digits()),
        ("train-labels-idx1-ubyte", labels),
        ("t10k-images-idx3-ubyte", digits(12)),
        ("t10k-labels-idx1-ubyte", labels[:12]),
    ):
        Path(name + end).write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    entry: dict[str, Any] = {
        "images": f"train-images-idx3-ubyte{end}",
        "labels": f"train-labels-idx1-ubyte{end}",
    }
    assert find("mine", entry)["shape"] == [8, 6]
    assert find("mine", entry)["labelled"]
    test = {"images": f"t10k-images-idx3-ubyte{end}", "labels": f"t10k-labels-idx1-ubyte{end}"}
    made = read("mine", entry | {"test": test})
    assert rows(made.train_images) == rows(digits())
    assert rows(made.test_images) == rows(digits(12))
    known = {image.tobytes(): label for image, label in zip(digits(), labels, strict=True)}
    assert [known[i.tobytes()] for i in made.train_images] == made.train_labels.tolist()
    np.save("labels.npy", labels)
    before = find("mine", entry | {"labels": "labels.npy"})["fingerprint"]
    np.save("labels.npy", labels[::-1].astype(np.int64))
    assert find("mine", entry | {"labels": "labels.npy"})["fingerprint"] != before
    with pytest.raises(
        ConfigError, match=r"mine\.labels: .* has one array, so labels are in a file"
    ):
        find("mine", entry | {"labels": "y"})
    with pytest.raises(DataError, match="expected one integer or name for each of 60 images"):
        find("mine", entry | {"labels": test["labels"]})


def test_a_file_that_is_open_elsewhere_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file["images"] = digits()
    script = "import h5py, sys; f = h5py.File(sys.argv[1], 'a'); print('open', flush=True); input()"
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(DataError, match="is open for writing elsewhere"):
            find("mine", {"images": str(path)})
        other.communicate(b"\n")
    assert find("mine", {"images": str(path)})["train"] == 48


@pytest.mark.parametrize(
    ("most", "kind", "told"),
    [
        (1.0, np.float32, r"set datasets\.mine\.white to 1\."),
        (200.5, np.float32, r"white to 255\."),
        (float("nan"), np.float32, "image 0 has a pixel of nan; expected numbers"),
        (300, np.uint16, "white to 1023, or 65535 if it is that dark"),
        (65535, np.uint16, r"white to 65535\."),
        (1_234_564, np.int32, r"white to 1234564\."),
    ],
)
def test_files_of_more_than_8_bits_are_told_a_white_that_fits(
    most: float, kind: type, told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(40):
        Image.fromarray(np.full((8, 8), most, kind)).save(folder / f"{n:02}.tiff")
    with pytest.raises(DataError, match=told):
        find("mine", {"images": str(folder)})


def test_a_home_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", dict[int, Any]().__getitem__)
    with pytest.raises(ConfigError, match=r"mine\.images: ~/x begins with a home directory"):
        find("mine", {"images": "~/x"})


def test_phones_photographs_are_read(tmp_path: Path) -> None:
    """The first picture of an MPO file, which may end in .jpg."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    second = Image.new("RGB", (6, 8), (255, 0, 0))
    for number, image in enumerate(digits(shape=(8, 6, 3))):
        path = folder / f"{number:03d}.jpg"
        if number % 2:
            Image.fromarray(image).save(path, "MPO", save_all=True, append_images=[second])
        else:
            Image.fromarray(image).save(path)
    (folder / "001.jpg").rename(folder / "001.mpo")
    made = read("mine", {"images": str(folder)})
    expected = [read_picture(str(p), Wanted.of("m", {})) for p in folder.iterdir()]
    assert rows(made.train_images, made.test_images) == rows(np.stack(expected))
    assert not (made.train_images == np.asarray(second)).all(axis=(1, 2, 3)).any()


def test_a_palette_is_grey_or_in_colour_as_its_colours_are(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pictures", digits())
    palette = Image.fromarray(digits()[7]).convert("P")
    # the same picture by another palette: reversed, then indices that name the same greys
    reversed_greys = Image.fromarray(255 - np.asarray(palette)).convert("L")
    reversed_greys.putpalette([255 - i // 3 for i in range(768)])
    for image in (palette, reversed_greys):
        image.save(folder / "007.png")
        assert Image.open(folder / "007.png").mode == "P"
        made = read("mine", {"images": str(folder)})
        assert rows(made.train_images, made.test_images) == rows(digits())
    for mode in ("P", "CMYK", "RGB"):
        (folder / "007.png").unlink(missing_ok=True)
        coloured = Image.new("RGB", (6, 8), (250, 10, 10)).convert(mode)
        coloured.save(folder / f"007.{'tif' if mode == 'CMYK' else 'png'}")
        with pytest.raises(
            DataError, match=r"007.* is in colour, the first image grey; set .*chan"
        ):
            read("mine", {"images": str(folder)})
        assert read("mine", {"images": str(folder), "channels": "grey"}).train_images.ndim == 3
        (folder / "007.tif").unlink(missing_ok=True)


def test_a_folder_is_read_and_split(folder: Path) -> None:
    (folder / ".hidden.png").write_text("x")
    (folder / "notes.txt").write_text("x")
    entry = {"images": str(folder), "test": {"fraction": 0.25, "seed": 3}}
    known = find("mine", entry)
    assert (known["shape"], known["train"], known["test"]) == ([8, 6], 45, 15)
    assert not known["labelled"]
    made = read("mine", entry)
    made.check("mine", (8, 6), 45, 15)
    assert (made.train_labels == -1).all()
    together = np.concatenate([made.train_images, made.test_images])
    assert rows(together) == rows(digits())
    other = read("mine", entry | {"test": {"fraction": 0.25, "seed": 4}})
    assert not np.array_equal(other.test_images, made.test_images)
    again = read("mine", entry)
    np.testing.assert_array_equal(again.test_images, made.test_images)


def test_sub_folders_are_classes_and_test_images_lie_apart(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", digits(30), classes=3)
    write_folder(tmp_path / "b", digits(12)[::-1], classes=2)
    entry = {
        "images": str(tmp_path / "a"),
        "labels": "folders",
        "test": {"images": str(tmp_path / "b")},
    }
    known = find("mine", entry)
    assert (known["train"], known["test"], known["labelled"]) == (30, 12, True)
    made = read("mine", entry)
    assert made.provenance["classes"] == ["class0", "class1", "class2"]
    assert np.bincount(made.train_labels).tolist() == [10, 10, 10]
    assert np.bincount(made.test_labels).tolist() == [6, 6]


@pytest.mark.parametrize("suffix", ["npz", "h5", "npy"])
@pytest.mark.parametrize(
    ("stored", "shape"),
    [
        (digits(), (8, 6)),
        (digits()[..., None], (8, 6)),
        (digits(shape=(8, 6, 3)), (8, 6, 3)),
        (np.moveaxis(digits(shape=(8, 6, 3)), -1, 1), (8, 6, 3)),
        (digits().reshape(COUNT, -1), (8, 6)),
        (digits() / 255, (8, 6)),
        ((digits() / 255).astype(np.float32), (8, 6)),
        (digits().astype(np.int64), (8, 6)),
    ],
)
def test_arrays_of_any_layout_are_read(
    tmp_path: Path, suffix: str, stored: np.ndarray, shape: tuple[int, ...]
) -> None:
    path = tmp_path / f"mine.{suffix}"
    if suffix == "npz":
        np.savez_compressed(path, x=stored)
    elif suffix == "npy":
        np.save(path, stored)
    else:
        with h5py.File(path, "w") as file:
            file["group/x"] = stored
    entry: dict[str, Any] = {"images": str(path)}
    if stored.ndim == 2:
        entry["size"] = [8, 6]
    assert find("mine", entry)["shape"] == list(shape)
    made = read("mine", entry)
    expected = digits(shape=shape)
    together = np.concatenate([made.train_images, made.test_images])
    assert sorted(i.tobytes() for i in together) == sorted(i.tobytes() for i in expected)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_zeros_and_ones_are_bits(tmp_path: Path, kind: Any) -> None:
    bits = digits() > 127
    np.save(tmp_path / "mine.npy", bits.astype(kind))
    made = read("mine", {"images": str(tmp_path / "mine.npy")})
    together = np.concatenate([made.train_images, made.test_images])
    assert sorted(i.tobytes() for i in together) == sorted(
        (i * np.uint8(255)).tobytes() for i in bits
    )


@pytest.mark.parametrize("white", [16, 255, 4095, 65535, 0.25])
def test_a_stated_white_is_a_scale(tmp_path: Path, white: float) -> None:
    """Levels times white, rounded where the type has integers, come back as these levels."""
    levels = digits() // 17 * 17
    values = levels / 255 * white
    np.save(tmp_path / "mine.npy", np.rint(values).astype(np.uint16) if white > 1 else values)
    made = read("mine", {"images": str(tmp_path / "mine.npy"), "white": white})
    together = np.concatenate([made.train_images, made.test_images])
    expected = np.rint(np.rint(values) * (255 / white)) if white > 1 else levels
    assert sorted(i.tobytes() for i in together) == sorted(
        i.tobytes() for i in expected.astype(np.uint8)
    )


def test_training_and_test_images_have_one_white(tmp_path: Path) -> None:
    """Darker test images are read by the white of the others; bits beside bytes are two readings."""
    bright, path = digits(), tmp_path / "a.npz"
    entry = {"images": str(path), "array": "x", "test": {"array": "xt"}}
    dark = bright[:20] // 4
    for kind in (np.uint8, np.int64, ">i4"):
        np.savez(path, x=bright, xt=dark.astype(kind))
        made = read("mine", entry)
        assert sorted(map(bytes, made.test_images)) == sorted(map(bytes, dark))
    for x, xt in ((bright, dark > 20), (bright > 20, bright[:20])):
        np.savez(path, x=x, xt=xt)  # booleans are sure
        read("mine", entry)
        np.savez(path, x=x.astype(int), xt=xt.astype(int))
        with pytest.raises(DataError, match=r"a\.npz.*set datasets\.mine\.white to 255"):
            read("mine", entry)
    np.savez(path, x=bright.astype(">u2"), xt=bright[:20].astype("<u2"))
    with pytest.raises(DataError, match=r"set datasets\.mine\.white to 255, or 65535 if"):
        read("mine", entry)


def test_files_of_sixteen_bits_are_read_by_a_stated_white(tmp_path: Path) -> None:
    for name, kind in (("png", "png"), ("tiff", "tif")):
        folder = tmp_path / name
        folder.mkdir()
        for number, image in enumerate(digits()):
            Image.fromarray(image.astype(np.uint16) * 16).save(folder / f"{number:03d}.{kind}")
        made = read("mine", {"images": str(folder), "white": 4080})
        together = np.concatenate([made.train_images, made.test_images])
        assert sorted(i.tobytes() for i in together) == sorted(i.tobytes() for i in digits())


def smooth_colours() -> np.ndarray:
    """Pictures ``[n, 8, 6, 3]`` of smooth planes of different brightness."""
    ramp = np.add.outer(np.arange(8), np.arange(6))[None, :, :, None]
    offset = np.random.default_rng(0).integers(0, 80, (COUNT, 1, 1, 1))
    return (ramp + offset + np.array([0, 70, 140])).astype(np.uint8)


@pytest.mark.parametrize("layout", ["planes", "interleaved"])
def test_rows_of_colours_are_read_as_the_layout_says(tmp_path: Path, layout: str) -> None:
    images = smooth_colours()
    stored = np.moveaxis(images, -1, 1) if layout == "planes" else images
    np.save(tmp_path / "mine.npy", stored.reshape(COUNT, -1))
    entry: dict[str, Any] = {"images": str(tmp_path / "mine.npy"), "size": [8, 6]}
    with pytest.raises(DataError, match=rf"set datasets\.mine\.layout to {layout}, which gives"):
        find("mine", entry)
    entry["layout"] = layout
    assert find("mine", entry)["shape"] == [8, 6, 3]
    made = read("mine", entry)
    together = np.concatenate([made.train_images, made.test_images])
    assert sorted(i.tobytes() for i in together) == sorted(i.tobytes() for i in images)


@pytest.mark.parametrize(
    ("stored", "layout", "shape"),
    [
        ((3, 32, 3), "planes", (32, 3, 3)),
        ((3, 32, 3), "interleaved", (3, 32, 3)),
        ((1, 32, 1), "planes", (32, 1)),
        ((1, 32, 1), "interleaved", (1, 32)),
        ((3, 32, 1), "planes", (32, 1, 3)),
        ((1, 32, 3), "planes", (32, 3)),
    ],
)
def test_shapes_that_can_be_read_twice_need_a_layout(
    tmp_path: Path, stored: tuple[int, ...], layout: str, shape: tuple[int, ...]
) -> None:
    np.save(tmp_path / "mine.npy", digits(shape=stored))
    entry = {"images": str(tmp_path / "mine.npy")}
    with pytest.raises(DataError, match=r"its shape does not tell; set datasets\.mine\.layout"):
        find("mine", entry)
    assert find("mine", entry | {"layout": layout})["shape"] == list(shape)
    made = read("mine", entry | {"layout": layout})
    assert made.train_images.shape[1:] == shape
    if layout == "planes" and len(shape) == 3:
        planes = np.moveaxis(digits(shape=stored), 1, -1)
        assert made.train_images[0].tobytes() in {i.tobytes() for i in planes}


def test_arrays_named_like_keras_have_labels_and_test_images(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    labels = np.arange(COUNT) % 4 * 1000
    np.savez(path, x_train=digits(), y_train=labels, x_test=digits(12), y_test=labels[:12])
    entry = {
        "images": str(path),
        "array": "x_train",
        "labels": "y_train",
        "test": {"array": "x_test", "labels": "y_test"},
    }
    made = read("mine", entry)
    # mixed, and still each with its label
    codes = {image.tobytes(): number % 4 for number, image in enumerate(digits())}
    for images, found, count in (
        (made.train_images, made.train_labels, COUNT),
        (made.test_images, made.test_labels, 12),
    ):
        assert rows(images) == rows(digits()[:count])
        assert [codes[image.tobytes()] for image in images] == found.tolist()
    assert made.provenance["classes"] == ["0", "1000", "2000", "3000"]


@pytest.mark.parametrize("apart", [True, False])
def test_images_stored_by_class_are_mixed(tmp_path: Path, apart: bool) -> None:
    """Wherever one looks, the classes are there in their proportions; the same at every call."""
    labels = np.repeat(np.arange(4), 100)
    path, images = tmp_path / "mine.npz", digits(400)
    np.savez(path, x=images, y=labels)
    entry: dict[str, Any] = {"images": str(path), "array": "x", "labels": "y"}
    if apart:
        entry["test"] = {"array": "x", "labels": "y"}
    made = read("mine", entry)
    for found in (made.train_labels, made.test_labels):
        for part in np.array_split(found, len(found) // 40):
            assert np.bincount(part, minlength=4).min() > 1
    again = read("mine", entry)
    np.testing.assert_array_equal(again.train_images, made.train_images)
    np.testing.assert_array_equal(again.test_labels, made.test_labels)


def test_images_are_made_alike(tmp_path: Path) -> None:
    """Cropped to the middle, stretched, in grey or colour; inverted, thresholded."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    wide = np.zeros((10, 30), dtype=np.uint8)
    wide[:, 10:20] = 200
    for number in range(COUNT):
        image = wide if number % 2 else wide[:, 10:20]
        Image.fromarray(image).save(folder / f"{number}.png")
    entry = {"images": str(folder), "size": 10}
    with pytest.raises(DataError, match=r"not 10 x 10; set datasets.mine.fit to crop"):
        read("mine", entry)
    cropped = read("mine", entry | {"fit": "crop"})
    assert (cropped.train_images == 200).all()
    assert (read("mine", entry | {"fit": "stretch"}).train_images == 0).any()
    colour = read("mine", entry | {"fit": "crop", "channels": "colour"})
    assert colour.train_images.shape[1:] == (10, 10, 3)
    inverted = read("mine", entry | {"fit": "crop", "invert": True})
    assert (inverted.train_images == 55).all()
    bits = read("mine", entry | {"fit": "crop", "threshold": 0.5})
    assert (bits.train_images == 255).all()


def test_the_fingerprint_follows_the_content_not_the_place(folder: Path) -> None:
    entry = {"images": str(folder)}
    before = find("mine", entry)["fingerprint"]
    moved = folder.rename(folder.with_name("elsewhere"))
    entry = {"images": str(moved)}
    assert find("mine", entry)["fingerprint"] == before
    assert find("mine", entry | {"invert": True})["fingerprint"] != before
    (moved / "000.png").write_bytes((moved / "001.png").read_bytes())
    changed = find("mine", entry)["fingerprint"]
    assert changed != before
    (moved / "000.png").rename(moved / "999.png")
    assert find("mine", entry)["fingerprint"] not in (before, changed)


def test_times_do_not_count_and_files_are_read_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "results" / "mine-content.json"
    monkeypatch.setattr(content, "SETTLED_SECONDS", -60)

    def found() -> str:
        return str(find("mine", {"images": str(folder)}, memory)["fingerprint"])

    before = found()
    assert not memory.parent.exists()
    memory.parent.mkdir()
    os.utime(folder / "000.png", (0, 0))
    assert found() == before
    read = content._hash
    with monkeypatch.context() as patch:
        patch.setattr(content, "_hash", lambda path: pytest.fail(f"{path} is read again"))
        assert found() == before
    # another file in its place, of the same size and time of modification
    status, data = (folder / "000.png").stat(), bytearray((folder / "000.png").read_bytes())
    data[-1] ^= 1
    (folder / "000.png").write_bytes(data)
    os.utime(folder / "000.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    changed = found()
    assert changed != before
    (folder / "000.png").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert found() == before
    for damage in ("{", "[1]", '{"a": 1}'):
        memory.write_text(damage)
        assert found() == before
    # a file that has just been written is not trusted to keep its content
    monkeypatch.setattr(content, "SETTLED_SECONDS", 60)
    memory.unlink()
    asked = []
    monkeypatch.setattr(content, "_hash", lambda path: asked.append(path) or read(path))
    assert found() == found() == before
    assert len(asked) == 2 * COUNT
    assert not memory.exists()


def test_the_configuration_carries_what_was_found(
    smoke_config: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    """A frozen configuration does for a machine that does not see the images."""
    config = complete(with_data(smoke_config, images=str(folder), network={"batch_norm": True}))
    validate(config)
    frozen = configuration.freeze(config, tmp_path)
    folder.rename(tmp_path / "elsewhere")
    loaded = configuration.load([frozen])
    assert catalogue(loaded)["mine"].shape == (8, 6)
    settings = resolve(loaded, Run("mine", "vae", 2, 0))
    assert shape_of(settings) == (8, 6)
    assert settings["network"]["batch_norm"]
    builtin = resolve(smoke_config, Run("mnist5k", "vae", 2, 0))
    assert "shape" not in builtin
    with pytest.raises(ConfigError, match=r"datasets\.mine\.images: .*pictures cannot be read"):
        prepare("mine", None, tmp_path, loaded)


def found_and_read(entry: dict[str, Any]) -> Prepared:
    find("mine", entry)
    return read("mine", entry)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"images": "nowhere"}, "datasets.mine.images: nowhere cannot be read"),
    ({"images": "a\0b"}, "cannot be read"),
    ({"images": "FOLDER", "array": "x"}, "is a folder, which has no arrays"),
    ({"images": "FOLDER", "labels": "folder"}, "set labels to folders, or leave it out"),
    ({"images": "FOLDER", "labels": "y"}, "set labels to folders"),
    ({"images": "FOLDER", "labels": "folders"}, "lies in no sub-folder"),
    ({"images": "FOLDER", "test": {"fraction": 0.9}}, "6 training images are too few"),
    ({"images": "FOLDER", "test": {"fraction": 0.01}}, "1 test images are too few"),
    ({"images": "FOLDER", "test": {"labels": "y"}}, "neither images nor array"),
    ({"images": "FOLDER", "test": {"images": "FOLDER", "seed": 1}}, "leave fraction and seed out"),
    ({"images": "FOLDER", "test": {"images": "ARRAY"}}, "which array is meant is not said"),
    ({"images": "ARRAY", "array": "z"}, "has no array 'z'; set datasets.mine.array"),
    ({"images": "ARRAY"}, "which array is meant is not said"),
    ({"images": "ARRAY", "array": "x", "labels": "folders"}, "name the array of the labels"),
    ({"images": "ARRAY", "array": "x", "labels": "q"}, "has no array 'q' for datasets.mine.labels"),
    ({"images": "ARRAY", "array": "x", "labels": "short"}, "expected one integer or name"),
    ({"images": "ARRAY", "array": "x", "test": {"array": "wide"}}, "differ in shape"),
    ({"images": "ARRAY", "array": "flat"}, "expected [n, h, w]"),
    ({"images": "ARRAY", "array": "nan"}, "array 'nan': image 7 has a pixel of nan"),
    ({"images": "ARRAY", "array": "large"}, "has a pixel of 256.0; expected numbers from 0 to 1"),
    ({"images": "ARRAY", "array": "negative"}, "has a pixel of -1; intensities start at 0"),
    (
        {"images": "ARRAY", "array": "sixteen"},
        "set datasets.mine.white to 16, or 255 if the images",
    ),
    (
        {"images": "ARRAY", "array": "sixteen", "white": 12},
        "a pixel of 16; expected numbers from 0 to 12",
    ),
    ({"images": "ARRAY", "array": "bools", "white": 255}, "have no white; leave it out"),
    (
        {"images": "ARRAY", "array": "x", "layout": "planes"},
        "one way only; leave datasets.mine.layout out",
    ),
    (
        {"images": "ARRAY", "array": "rows", "size": 4},
        "set datasets.mine.layout to planes, which gives",
    ),
    ({"images": "FOLDER", "layout": "planes"}, "is a folder of image files; leave it out"),
    ({"images": "FOLDER", "white": 255}, "000.png: has 8 bits a channel, of which 255 is white"),
    ({"images": "ARRAY", "array": "names"}, "save numbers"),
    ({"images": "ARRAY", "array": "x", "labels": "y"}, ""),
    ({"images": "PICKLE"}, "Python objects, which are never loaded"),
    ({"images": "PICKLED"}, "save numbers"),
    ({"images": "TEXT"}, "neither a folder nor a file that ends in .npz"),
    ({"images": "DAMAGED"}, "damaged.npz: cannot be read"),
    ({"images": "HUGE"}, "GB, more than 1 GB"),
    ({"images": "LINKED"}, "which array is meant is not said"),
    ({"images": "EMPTY"}, "has no image files"),
    ({"images": "BROKEN"}, "030.png: cannot be read as an image"),
    ({"images": "MIXED"}, "001.png: has 8 x 6 pixels, the first image 9 x 9"),
    ({"images": "BOMB"}, "pixels, over"),
    ({"images": "DEEP"}, "more than 8 bits a channel"),
    ({"images": "DEEP"}, "set datasets.mine.white to 4095, or 65535 if it is that dark"),
    ({"images": "DEEP", "white": 1023}, "has a pixel of 3071; expected numbers from 0 to 1023"),
    ({"images": "TRANSPARENT"}, "is transparent in places"),
    ({"images": "ANIMATED"}, "has 2 frames"),
    ({"images": "WRONG"}, "cannot be read as an image"),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Sources of every kind of trouble, by name."""
    root = tmp_path_factory.mktemp("sources")
    images, floats = digits(), digits() / 255
    nan, large = floats.copy(), floats.copy()
    nan[7, 0, 0], large[7, 0, 0] = np.nan, 256
    np.savez(
        root / "array.npz",
        x=images,
        y=np.arange(COUNT),
        short=np.arange(5),
        flat=images.reshape(COUNT, -1),
        wide=digits(shape=(8, 7)),
        nan=nan,
        large=large,
        negative=images.astype(int) - 300 + 299,
        sixteen=images // 16 + images // 255,
        bools=images > 128,
        rows=np.tile(np.arange(COUNT * 3, dtype=np.uint8).reshape(COUNT, 3, 1), 16).reshape(
            COUNT, 48
        ),
        names=np.array(["a"] * COUNT),
    )
    np.save(root / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(root / "pickled.npz", images=np.array([{"a": 1}] * COUNT, dtype=object))
    (root / "text.txt").write_text("images")
    (root / "damaged.npz").write_bytes((root / "array.npz").read_bytes()[:-100])
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 28, 28)}
    )
    with zipfile.ZipFile(root / "huge.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    with h5py.File(root / "linked.h5", "w") as file:
        file["images"] = h5py.ExternalLink(str(root / "other.h5"), "images")
    (root / "empty").mkdir()
    for name in ("folder", "broken", "mixed", "bomb", "deep", "transparent", "animated", "wrong"):
        write_folder(root / name, images)
    broken = root / "broken" / "030.png"
    broken.write_bytes(broken.read_bytes()[:60])
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "mixed" / "000.png")
    side = int(MOST_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(root / "bomb" / "000.png")
    Image.fromarray(np.full((8, 6), 3071, np.uint16)).save(root / "deep" / "000.png")
    Image.new("RGBA", (6, 8), (1, 2, 3, 100)).save(root / "transparent" / "000.png")
    frames = [Image.new("L", (6, 8), level) for level in (0, 255)]
    frames[0].save(root / "animated" / "000.gif", save_all=True, append_images=frames[1:])
    (root / "wrong" / "000.png").write_text("%!PS-Adobe-3.0 EPSF-3.0")
    found = {path.stem.upper(): str(path) for path in root.iterdir()}
    return found


@pytest.mark.parametrize(("entry", "message"), MISTAKES)
def test_a_mistake_is_named_in_one_line(
    sources: dict[str, str], entry: dict[str, Any], message: str
) -> None:
    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(each) for key, each in value.items()}
        return sources.get(value, value) if isinstance(value, str) else value

    entry = named(entry)
    if not message:  # a label for each image: allowed
        assert find("mine", entry)["labelled"]
        return
    with pytest.raises(RungsError) as caught:
        found_and_read(entry)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_names_with_odd_characters_are_told_on_one_line(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pictures", digits())
    (folder / "new\nline.png").write_bytes(b"no image")
    os.mkfifo(folder / "pipe.png")  # opening it would wait for ever
    with pytest.raises(DataError) as caught:
        read("mine", {"images": str(folder)})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"size": 28}, "'images' is a dependency of 'size'"),
        ({"images": "x", "sise": 28}, "unknown key 'sise'; did you mean 'size'"),
        ({"images": "x", "fit": "cut"}, "datasets.mine.fit"),
        ({"images": "x", "white": 0}, "datasets.mine.white"),
        ({"images": "x", "layout": "rows"}, "datasets.mine.layout"),
        ({"images": "x", "size": [28, 28, 3]}, "datasets.mine.size"),
        ({"images": "x", "test": {"fraction": 1}}, "datasets.mine.test.fraction"),
    ],
)
def test_the_schema_knows_the_options(
    smoke_config: dict[str, Any], entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(with_data(smoke_config, **entry))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "mine-classifier"])
def test_a_name_of_another_is_refused(smoke_config: dict[str, Any], name: str) -> None:
    config = smoke_config | {"datasets": {name: {"images": "x"}}}
    with pytest.raises(ConfigError, match=rf"datasets\.{name}: .*rename"):
        validate(config)


def test_settings_of_an_unknown_data_set_are_refused(smoke_config: dict[str, Any]) -> None:
    config = smoke_config | {"datasets": {"mnist5": {"training": {"epochs": 1}}}}
    with pytest.raises(ConfigError, match="'mnist5' is not known; did you mean 'mnist5k'"):
        validate(config)


def test_convolutions_refuse_sides_that_they_cannot_halve(
    smoke_config: dict[str, Any], folder: Path
) -> None:
    config = complete(with_data(smoke_config, images=str(folder)))
    with pytest.raises(ConfigError, match=r"divisible by 4; set datasets\.mine\.size"):
        resolve(config, Run("mine", "vq", 16, 0, "codes"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), suffix=st.sampled_from(sorted(READERS)))
def test_arbitrary_bytes_are_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(RungsError):
        find("mine", {"images": str(path)})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    position=st.integers(0, 10**6),
    value=st.integers(0, 255),
    kind=st.sampled_from(["npz", "png", "jpg", "gif", "tif", "webp", "bmp", "pgm"]),
)
def test_flipped_bytes_are_refused_or_do_no_harm(
    tmp_path: Path, position: int, value: int, kind: str
) -> None:
    buffer = io.BytesIO()
    if kind == "npz":
        np.savez_compressed(buffer, images=digits())
    else:
        Image.fromarray(digits(1)[0]).save(
            buffer, {"jpg": "JPEG", "pgm": "PPM", "tif": "TIFF"}.get(kind, kind)
        )
    content = bytearray(buffer.getvalue())
    content[position % len(content)] = value
    source = tmp_path / f"x.{kind}"
    source.write_bytes(content)
    try:
        if kind == "npz":
            found = read("mine", {"images": str(source)}).train_images
        else:
            found = read_picture(str(source), Wanted.of("mine", {}))
    except RungsError as error:
        told = str(error)
    else:
        told = str(found.dtype)
        assert told == "uint8"
    assert len(told.splitlines()) == 1
