"""Result files: whole or absent, and damage is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungs import store
from rungs.errors import RungsError, StoreError
from rungs.files import replacing, write_text

ARRAYS = {
    "elbo": np.linspace(-100, -90, 50),
    "layers/1/kl": np.arange(12.0).reshape(3, 4),
    "layers/2/kl": np.ones((3, 2)),
    "big": np.arange(100_000) % 7,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "run" / "training.h5"
    store.write(target, ARRAYS, {"run": {"seed": 0}})
    return target


def test_round_trip(path: Path) -> None:
    found = store.read(path)
    assert found.attributes == {"run": {"seed": 0}}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
    assert [layer.shape for layer in found.layers("kl")] == [(3, 4), (3, 2)]
    assert set(store.read(path, only=["layers/"]).arrays) == {"layers/1/kl", "layers/2/kl"}
    with pytest.raises(StoreError, match="no array 'nothing'"):
        found["nothing"]


def test_the_same_content_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    store.write(tmp_path / "again.h5", ARRAYS, {"run": {"seed": 0}})
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_noticed_or_harmless(data: st.DataObject) -> None:
    """A flipped or missing byte anywhere: the file is refused by name, or reads unaltered."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "training.h5"
        small = {k: v for k, v in ARRAYS.items() if k != "big"}
        store.write(target, small, {"run": {"seed": 0}})
        content = bytearray(target.read_bytes())
        position = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[position] ^= data.draw(st.integers(1, 255))
        else:
            del content[position:]
        target.write_bytes(content)
        try:
            found = store.read(target)
        except StoreError as error:
            message = str(error)
        else:
            message = "training.h5"
            assert found.attributes == {"run": {"seed": 0}}
            for name in found.arrays:
                np.testing.assert_array_equal(found[name], small[name])
        assert "training.h5" in message


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.h5.*missing.*snakemake"):
        store.read(tmp_path / "none.h5")


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
