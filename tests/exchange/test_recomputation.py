"""A run's numbers are computed again: other weights, numbers and data are noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rungs.cli import main
from rungs.errors import StoreError
from rungs.exchange.recomputation import rounding_change, verify_run
from rungs.storage import result_file
from rungs.storage.tensors import load_tensors, save_tensors
from rungs.study.layout import EVALUATION, WEIGHTS, Layout


@pytest.fixture
def folder(tiny_results: Path, tmp_path: Path) -> Path:
    """A copy of a ladder's folder, for the test to change."""
    run = tiny_results / "runs/mnist5k/lvae-bn-wu/depth5/seed0"
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_other_weights_and_other_numbers_are_noticed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(Layout.data("mnist5k"))
    tensors, metadata = load_tensors(folder / WEIGHTS)
    name = next(n for n in tensors if n.endswith("weight") and tensors[n].ndim == 2)
    changed = {**tensors, name: tensors[name] + 0.01}
    save_tensors(folder / WEIGHTS, changed, metadata)
    assert not all(row.agrees for row in verify_run(folder, data))
    save_tensors(folder / WEIGHTS, tensors, metadata)
    assert all(row.agrees for row in verify_run(folder, data))
    found = result_file.read(folder / EVALUATION)
    change = rounding_change(folder, data, changed, found)
    assert (change["quantity"], change["images"]) == ("test/lk", 50)
    assert 0 < change["mean_change"] < change["largest_change"]
    lk = found["test/lk"] + np.eye(len(found["test/lk"]))[7] * 0.02
    result_file.write(folder / EVALUATION, {**found.arrays, "test/lk": lk}, found.attributes)
    assert [row.quantity for row in verify_run(folder, data) if not row.agrees] == ["test/lk"]
    with pytest.raises(SystemExit) as status:
        main(["verify", str(folder)])
    assert status.value.code == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_other_data_are_noticed(folder: Path, tmp_path: Path) -> None:
    found = result_file.read(Layout.data("mnist5k"))
    turned = {**found.arrays, "test/images": found["test/images"][::-1]}
    result_file.write(tmp_path / "other.h5", turned, found.attributes)
    with pytest.raises(StoreError, match=r"other\.h5: its test images are not those"):
        verify_run(folder, tmp_path / "other.h5")


def test_arrays_of_another_shape_are_noticed(folder: Path) -> None:
    found = result_file.read(folder / EVALUATION)
    wide = np.stack([found["test/lk"]] * 2, 1)
    result_file.write(folder / EVALUATION, {**found.arrays, "test/lk": wide}, found.attributes)
    with pytest.raises(StoreError, match=r"test/lk has the shape \(50, 2\)"):
        verify_run(folder, Path(Layout.data("mnist5k")))
