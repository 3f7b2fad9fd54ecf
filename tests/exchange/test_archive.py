"""Archives of runs: the same run again, the same bytes, and nothing else gets in; and what
verification notices."""

from __future__ import annotations

import io
import json
import pickle
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import rungs
from rungs.cli import main
from rungs.errors import ArchiveError, ConfigError, StoreError
from rungs.evaluation import classifier
from rungs.exchange import export
from rungs.exchange.archive import open_archive
from rungs.exchange.archive_format import LEFT_OUT, MANIFEST, REQUIRED
from rungs.exchange.export import export_run
from rungs.exchange.recomputation import verify_run
from rungs.jobs.work import evaluate_run, prior_run, train_runs
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.storage.atomic import sha256
from rungs.study import profile as configuration
from rungs.study.layers import Config, merge
from rungs.study.layout import Layout
from rungs.study.runs import PRIOR_FOLDER, Run

LADDER = Run.parse("mnist5k/lvae-bn-wu/depth2/seed0")
RUNS = [
    LADDER,
    *(Run.parse(f"mnist5k/{name}/seed0") for name in ("vq/codes16", "conv-vae/latent2")),
    *(Run.parse(f"mnist5k/{name}/latent2/seed0") for name in ("mog", "ae", "vaegan")),
]
SMALL = {
    "profile": "tiny",
    "raw_data": "/somebody/s/folder",
    "network": {"hidden_sizes": {"first": 16, "ratio": 0.5, "least": 8}},
    "training": {"epochs": 1, "warm_up_epochs": 1},
    "prior": {"training": {"epochs": 1}, "network": {"channels": 4, "layers": 1}},
    "evaluation": {"samples": 10, "images": 130, "train_images": 60, "unit_samples": 2},
}


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Iterator[Path]:
    """A working folder, in which the tests run, with one trained run of every family."""
    place = tmp_path_factory.mktemp("archive")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(classifier, "STEPS", 20)
        data = Path(Layout.data("mnist5k"))
        data.parent.mkdir(parents=True)
        data.symlink_to(digits)
        classifier.train(data, Path(Layout.classifier("mnist5k")))
        config = profile()
        configuration.freeze(config, "results/tiny/config")
        for run in RUNS:
            target = Path(Layout("tiny").run(run))
            train_runs(config, {run: target})
            if run.variant == "vq":
                prior_run(config, run, target / PRIOR_FOLDER)
            evaluate_run(config, run, target)
        yield place


def profile() -> Config:
    config = configuration.load([ROOT / "config" / "smoke.yaml"])
    small = merge(config, SMALL)
    for name in ("gauss", "ae"):
        small["variants"][name]["evaluation"] = {"probe_latents": []}
    return small


@pytest.fixture(scope="module")
def ladder(folder: Path) -> Path:
    """The ladder's archive."""
    return export_run(profile(), LADDER, folder / "ladder.zip").path


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.variant)
def test_an_archive_brings_back_the_run_and_its_numbers(run: Run, tmp_path: Path) -> None:
    path = export_run(profile(), run, tmp_path).path
    assert path.name == f"tiny-{run.path.replace('/', '-')}.zip"
    assert path.stat().st_size < 1_000_000
    source, target = Path(Layout("tiny").run(run)), open_archive(path)
    assert (target / "weights.safetensors").read_bytes() == (
        source / "weights.safetensors"
    ).read_bytes()
    kept, whole = (
        result_file.read(target / "evaluation.h5"),
        result_file.read(source / "evaluation.h5"),
    )
    for name, array in kept.arrays.items():
        np.testing.assert_array_equal(array, whole[name])
    missing = set(whole.arrays) - set(kept.arrays)
    assert missing == set(kept.attributes.get(LEFT_OUT, []))
    assert all(whole[name].nbytes > export.LARGE for name in missing)
    found = verify_run(target, Path(Layout.data("mnist5k")))
    assert found
    # the same machine, the same random numbers: no difference but that of a batch's shape
    assert all(row.agrees and row.difference <= row.tolerance / 10 for row in found), found
    assert (target / PRIOR_FOLDER / "weights.safetensors").is_file() == (run.variant == "vq")
    loaded = rungs.load(path)
    assert loaded.name == run.path
    np.testing.assert_array_equal(loaded.sample(2), rungs.load(source).sample(2))


def test_the_same_run_gives_the_same_bytes(ladder: Path, tmp_path: Path) -> None:
    again = export_run(profile(), LADDER, tmp_path / "again.zip").path
    assert again.read_bytes() == ladder.read_bytes()
    assert b"/somebody/s/folder" not in b"".join(members(ladder).values())


def test_opening_twice_is_checked_and_other_folders_are_left_alone(
    ladder: Path, tmp_path: Path
) -> None:
    target = open_archive(ladder, tmp_path / "run")
    assert open_archive(ladder, tmp_path / "run") == target
    (target / "weights.safetensors").write_bytes(b"altered")
    with pytest.raises(ArchiveError, match=r"weights\.safetensors.*checksum"):
        open_archive(ladder, target)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ArchiveError, match="is there already"):
        open_archive(ladder, tmp_path / "mine")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "run"]


# --- hostile archives ---------------------------------------------------------------------------


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def pack(path: Path, found: dict[str, bytes], **entry: Any) -> Path:
    """A zip file of these members; its manifest agrees with them."""
    manifest = json.loads(found[MANIFEST])
    manifest["members"] = {
        name: {"bytes": len(content), "sha256": sha256(content)}
        for name, content in found.items()
        if name != MANIFEST
    }
    found = {**found, MANIFEST: json.dumps(manifest).encode()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in found.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = entry.get(name, stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(info, content)
    return path


def hdf5(fill: Callable[[h5py.File], Any]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def huge(file: h5py.File) -> None:
    file.create_dataset("elbo", shape=(10**12,), dtype="f8", chunks=(1000,))


def outside(file: h5py.File) -> None:
    file.create_dataset("elbo", (10,), "u1", external=[("/etc/passwd", 0, 10)])


def other_settings(content: bytes) -> bytes:
    described = json.loads(content)
    described["run"]["seed"] = 1
    return json.dumps(described).encode()


def other_version(content: bytes) -> bytes:
    return json.dumps(json.loads(content) | {"version": 2}).encode()


WEIGHTS = "weights.safetensors"
HOSTILE = {
    "parent": (lambda m: m | {"../escaped": b"x"}, {}, "unexpected member '../escaped'"),
    "absolute": (lambda m: m | {"/tmp/escaped": b"x"}, {}, "unexpected member '/tmp/escaped'"),
    "extra": (lambda m: m | {"weights.pkl": b"x"}, {}, r"unexpected member 'weights\.pkl'"),
    "symlink": (lambda m: m, {"README.md": stat.S_IFLNK | 0o777}, "not a plain file"),
    "missing": (lambda m: {k: v for k, v in m.items() if k != WEIGHTS}, {}, "is missing"),
    "no manifest": (None, {}, "has no manifest"),
    "pickle": (lambda m: m | {WEIGHTS: pickle.dumps([1, 2])}, {}, WEIGHTS),
    "other weights": (lambda m: m | {WEIGHTS: _weights()}, {}, "another model's weights"),
    "huge array": (lambda m: m | {"training.h5": hdf5(huge)}, {}, r"training\.h5.*more than"),
    "outside": (lambda m: m | {"training.h5": hdf5(outside)}, {}, r"training\.h5.*plain"),
    "not HDF5": (lambda m: m | {"evaluation.h5": b"x" * 999}, {}, r"evaluation\.h5"),
    "bomb": (lambda m: m | {"run.json": b" " * 2**23}, {}, r"run\.json.*8,388,608 bytes"),
    "not JSON": (lambda m: m | {"run.json": b"[" * 2**20}, {}, r"run\.json is not JSON"),
    "another version": (
        lambda m: m | {MANIFEST: other_version(m[MANIFEST])},
        {},
        "has version 2 of its format, and this version of rungs reads 1",
    ),
    "another run": (
        lambda m: m | {"run.json": other_settings(m["run.json"])},
        {},
        "not of one run",
    ),
}


def _weights() -> bytes:
    from safetensors.torch import save

    return save({"x": torch.zeros(3)})


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_line(
    name: str, ladder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, entry, message = HOSTILE[name]
    path = tmp_path / "hostile.zip"
    if change is None:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("README.md", "nothing")
    else:
        pack(path, change(members(ladder)), **entry)
    with pytest.raises(StoreError, match=message) as error:
        open_archive(path, tmp_path / "run")
    assert "hostile.zip" in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["hostile.zip"]
    with pytest.raises(SystemExit) as status:
        main(["load", str(path), "--as", str(tmp_path / "run")])
    assert status.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", [*REQUIRED, MANIFEST])
def test_an_altered_member_is_named(name: str, ladder: Path, tmp_path: Path) -> None:
    """The manifest as it was, one byte of a member changed."""
    found = members(ladder)
    position = len(found[name]) // 2
    found[name] = (
        found[name][:position] + bytes([found[name][position] ^ 1]) + found[name][position + 1 :]
    )
    path = tmp_path / "altered.zip"
    with zipfile.ZipFile(path, "w") as file:
        for member, content in found.items():
            file.writestr(member, content)
    with pytest.raises(ArchiveError, match=r"altered\.zip"):
        open_archive(path, tmp_path / "run")


def test_a_truncated_or_foreign_file_is_refused(ladder: Path, tmp_path: Path) -> None:
    content = ladder.read_bytes()
    for number, part in enumerate((content[:-100], content[: len(content) // 2], b"", b"PK")):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(part)
        with pytest.raises(ArchiveError, match=path.name):
            open_archive(path)
    for position in range(0, len(content), len(content) // 40):
        flipped = bytearray(content)
        flipped[position] ^= 0xFF
        path.write_bytes(flipped)
        with suppress(StoreError):  # else it is a byte that nothing rests on, such as a date
            target = open_archive(path, tmp_path / f"flipped{position}")
            for name, member in members(ladder).items():
                assert (target / name).read_bytes() == member


# --- float16 ----------------------------------------------------------------------------------


def test_float16_weights_are_half_the_size_and_move_the_bound_by_little(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # after one epoch rounding moves more than in a trained run, here by about the tolerance
    monkeypatch.setattr(export, "HALF_TOLERANCE", 0.05)
    half = export_run(profile(), LADDER, tmp_path / "half.zip", half=True).path
    sizes = [len(members(path)[WEIGHTS]) for path in (half, ladder)]
    assert sizes[0] < 0.6 * sizes[1]
    target = open_archive(half)
    change = json.loads((target / "run.json").read_text())["float16"]
    assert 0 < change["mean_change"] < export.HALF_TOLERANCE
    assert change["largest_change"] < 1
    assert all(row.agrees for row in verify_run(target, Path(Layout.data("mnist5k")), 100))
    monkeypatch.setattr(export, "HALF_TOLERANCE", change["mean_change"])
    with pytest.raises(StoreError, match="export it without --half"):
        export_run(profile(), LADDER, tmp_path / "refused.zip", half=True)
    assert not (tmp_path / "refused.zip").exists()


def test_a_run_of_other_settings_is_not_exported(tmp_path: Path) -> None:
    changed = merge(profile(), {"training": {"epochs": 2}})
    with pytest.raises(ConfigError, match="was made with other settings"):
        export_run(changed, LADDER, tmp_path)


def test_the_command_line_exports_loads_and_verifies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as status:
            main([*arguments])
        assert status.value.code in (0, None)
        return capsys.readouterr().out

    folder = Layout("tiny").run(LADDER)
    run("export", folder, str(tmp_path / "run.zip"))
    shown = json.loads(run("load", str(tmp_path / "run.zip"), "--json"))
    assert shown["run"]["run"] == LADDER.path
    assert shown["numbers"]["test_images"] == 130
    assert "test lk" in run("load", str(tmp_path / "run.zip"))
    for what in (str(tmp_path / "run.zip"), str(tmp_path / "run"), folder):
        found = json.loads(run("verify", what, "--images", "60", "--json"))
        assert found["agrees"]
        assert {row["images"] for row in found["comparisons"]} == {100}
