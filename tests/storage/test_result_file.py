"""Result files: whole or absent, and damage is noticed."""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rungs.errors import RungsError, StoreError
from rungs.storage import result_file
from rungs.storage.atomic import replacing, write_text
from rungs.storage.tensors import load_tensors, save_tensors
from rungs.tables import read_rows

ARRAYS = {
    "elbo": np.linspace(-100, -90, 50),
    "layers/1/kl": np.arange(12.0).reshape(3, 4),
    "layers/2/kl": np.ones((3, 2)),
    "big": np.arange(100_000) % 7,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "run" / "training.h5"
    result_file.write(target, ARRAYS, {"run": {"seed": 0}})
    return target


def test_round_trip(path: Path) -> None:
    found = result_file.read(path)
    assert found.attributes == {"run": {"seed": 0}}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
    assert [layer.shape for layer in found.layers("kl")] == [(3, 4), (3, 2)]
    assert set(result_file.read(path, only=["layers/"]).arrays) == {"layers/1/kl", "layers/2/kl"}
    with pytest.raises(StoreError, match="no array 'nothing'"):
        found["nothing"]


def test_names_are_listed_and_a_wrong_one_has_the_nearest(tmp_path: Path) -> None:
    """A slip in a name must not advise to delete a sound file."""
    result_file.write(tmp_path / "x.h5", {"test/lk": np.zeros(2), "test/elbo": np.zeros(2)}, {})
    stored = result_file.read(tmp_path / "x.h5")
    assert sorted(stored) == ["test/elbo", "test/lk"]
    with pytest.raises(
        StoreError, match=r"x\.h5: has no array 'test/lkk'; did you mean 'test/lk'\?$"
    ):
        stored["test/lkk"]


def test_the_same_content_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    result_file.write(tmp_path / "again.h5", ARRAYS, {"run": {"seed": 0}})
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_noticed_or_harmless(data: st.DataObject) -> None:
    """A flipped or missing byte anywhere: the file is refused by name, or reads unaltered."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "training.h5"
        small = {k: v for k, v in ARRAYS.items() if k != "big"}
        result_file.write(target, small, {"run": {"seed": 0}})
        content = bytearray(target.read_bytes())
        position = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[position] ^= data.draw(st.integers(1, 255))
        else:
            del content[position:]
        target.write_bytes(content)
        try:
            found = result_file.read(target)
        except StoreError as error:
            message = str(error)
        else:
            message = "training.h5"
            assert found.attributes == {"run": {"seed": 0}}
            for name in found.arrays:
                np.testing.assert_array_equal(found[name], small[name])
        assert "training.h5" in message


def of_version_2(path: Path) -> bytes:
    """The file as another version of rungs might write it."""
    content = path.read_bytes()
    if path.suffix == ".h5":
        return content.replace(b"rungs store 1 ", b"rungs store 2 ", 1)
    return content.replace(rb"\"format\": 1", rb"\"format\": 2", 1)


@pytest.mark.parametrize("name", ["training.h5", "weights.safetensors"])
def test_another_version_of_a_format_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    read: Callable[[Path], object]
    if path.suffix == ".h5":
        result_file.write(path, ARRAYS, {})
        read = result_file.read
    else:
        tensors_file(tmp_path)
        read = load_tensors
    read(path)
    assert of_version_2(path) != path.read_bytes()
    path.write_bytes(of_version_2(path))
    with pytest.raises(StoreError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(
        f"{path}: has version 2 of its format, and this version of rungs reads 1."
    )
    assert "Delete it and run the same command again" in message


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.h5.*missing.*snakemake"):
        result_file.read(tmp_path / "none.h5")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RungsError, match="cannot be written"):
        write_text(tmp_path / "file" / "table.csv", "text")


def tensors_file(folder: Path) -> Path:
    path = folder / "weights.safetensors"
    tensors = {"a": torch.arange(600.0), "b": torch.zeros(3, 2, dtype=torch.int64)}
    save_tensors(path, tensors, {"run": "{}", "key": "k", "name": "ü"})
    return path


def test_tensors_round_trip(tmp_path: Path) -> None:
    tensors, metadata = load_tensors(tensors_file(tmp_path))
    assert metadata == {"run": "{}", "key": "k", "name": "ü"}
    assert torch.equal(tensors["a"], torch.arange(600.0))
    assert (tensors["b"].shape, tensors["b"].dtype) == ((3, 2), torch.int64)


def test_reading_tensors_leaves_nothing_behind(tmp_path: Path) -> None:
    """The library's ``safe_open`` keeps two integers for every tensor that it reads."""
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {str(i): torch.zeros(300, 400 + i) for i in range(10)}, {})

    def kept(times: int) -> int:
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(times):
            load_tensors(path)
        gc.collect()
        return sys.getallocatedblocks() - before

    kept(5)
    assert kept(50) < 100  # it was 1,000


def test_tensors_have_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    """The library orders metadata by a hash that is seeded anew for every map."""
    contents = {tensors_file(tmp_path).read_bytes() for _ in range(10)}
    assert len(contents) == 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_tensors_are_refused_or_unaltered(data: st.DataObject) -> None:
    """A flipped, zeroed or missing part anywhere, in the numbers too."""
    with tempfile.TemporaryDirectory() as folder:
        path = tensors_file(Path(folder))
        content = bytearray(path.read_bytes())
        start = data.draw(st.integers(0, len(content) - 1))
        way = data.draw(st.sampled_from(["flip", "zero", "cut"]))
        if way == "flip":
            content[start] ^= data.draw(st.integers(1, 255))
        elif way == "zero":
            content[start:] = bytes(len(content) - start)
        else:
            del content[start:]
        if content == path.read_bytes():
            return
        path.write_bytes(content)
        try:
            tensors, metadata = load_tensors(path)
        except StoreError as error:
            message = str(error)
        else:  # a space of the header, or the name of the checksum
            assert torch.equal(tensors["a"], torch.arange(600.0))
            assert metadata.items() >= {"run": "{}", "key": "k", "name": "ü"}.items()
            return
        assert "weights.safetensors: cannot be read" in message


@pytest.mark.parametrize("text", ["", "\0\0\0", "a,b\n1,2\n3", "a,b\n1,2\n3\n", "a,b\n1,2,3\n"])
def test_a_damaged_table_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "loglik.csv"
    write_text(path, text)
    with pytest.raises(StoreError, match=r"loglik\.csv: the table is damaged\. Delete it"):
        read_rows(path)
    write_text(path, "a,b\n1,2\n3,\n")
    assert read_rows(path) == [{"a": "1", "b": "2"}, {"a": "3", "b": ""}]


def test_a_file_that_is_open_elsewhere_is_not_called_damaged(path: Path) -> None:
    script = (
        "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); input()"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for reading in (result_file.read, result_file.fingerprint):
            with pytest.raises(StoreError, match="is open for writing elsewhere"):
                reading(path)
        other.communicate(b"\n")
    assert set(result_file.read(path).arrays) == set(ARRAYS)


def test_a_damaged_file_of_a_pack_is_to_be_deleted_under_both_names(tmp_path: Path) -> None:
    runs, work = (tmp_path / f"results/p/{name}/run/training.h5" for name in ("runs", "work"))
    write_text(runs, "damaged")
    with pytest.raises(StoreError, match="Delete it and run the same command again"):
        result_file.read(runs)
    work.parent.mkdir(parents=True)
    work.hardlink_to(runs)
    for path, other in ((runs, work), (work, runs)):
        with pytest.raises(StoreError, match=f"Delete it and its other name {other} and run"):
            result_file.read(path)
