"""Weights, checkpoints, result files and archives of every kind of damage: refused in one line that
names the file, or what was written."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from fuzzing import cases, flip, limited, told
from rungs.cli import main
from rungs.errors import RungsError
from rungs.evaluation.run import load_model
from rungs.exchange.archive import open_archive
from rungs.exchange.archive_format import MANIFEST, MEMBERS
from rungs.exchange.export import export_run
from rungs.exchange.recomputation import verify_run
from rungs.jobs import checkpoints
from rungs.jobs.work import evaluate_run, train_runs
from rungs.paths import ROOT
from rungs.storage import hdf5, result_file
from rungs.storage.atomic import sha256
from rungs.storage.cost_file import read_cost, read_seconds
from rungs.storage.tensors import load_tensors, pack, save_tensors
from rungs.study import profile as configuration
from rungs.study.layers import Config, merge
from rungs.study.layout import Layout
from rungs.study.runs import Run
from rungs.study.settings import resolve
from rungs.training.trainer import Trainer

RUN = Run.parse("mnist5k/lvae-bn-wu/depth2/seed0")
SMALL = {
    "profile": "tiny",
    "network": {"hidden_sizes": [8, 8], "latent_sizes": [4, 2]},
    "experiments": {
        "ladder": [{"datasets": ["mnist5k"], "variants": ["vae"], "depths": [1], "seeds": [0]}]
    },
    "training": {"epochs": 1, "warm_up_epochs": 1},
    "evaluation": {"samples": 2, "images": 60, "train_images": 60, "unit_samples": 2},
}
flips = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4)
damage = st.tuples(flips, st.one_of(st.just(1.0), st.floats(0, 1)))
#: JSON values in the place of those that a file has
strange = st.sampled_from(
    [
        *(
            None,
            -1,
            0,
            1.5,
            10**9,
            10**18,
            2**70,
            "",
            "x",
            "../../x",
            "a\nb",
            [],
            {},
            [1],
            {"a": 1},
        ),
        *(True, [[1]], "vae", "vq", float("nan"), [10**9] * 3, [0, 0], [-1, -1], ["x"], [2, 2, 2]),
        "a" * 9999,
    ]
)


def profile() -> Config:
    config = configuration.load([ROOT / "config" / "smoke.yaml"])
    experiments = SMALL["experiments"]
    return merge(config, SMALL) | {"experiments": experiments}


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Iterator[Path]:
    """A working folder, in which the tests run, with one trained and evaluated run."""
    place = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        data = Path(Layout.data("mnist5k"))
        data.parent.mkdir(parents=True)
        data.symlink_to(digits)
        config = profile()
        target = Path(Layout("tiny").run(RUN))
        train_runs(config, {RUN: target})
        evaluate_run(config, RUN, target)
        export_run(config, RUN, Path("run.zip"))
        yield place


def trained(folder: Path) -> Path:
    return folder / Layout("tiny").run(RUN)


def copied(folder: Path, factory: pytest.TempPathFactory) -> Path:
    """A copy of the run's folder, to be damaged."""
    target = factory.mktemp("copy") / "run"
    shutil.copytree(trained(folder), target)
    return target


# --- weights and checkpoints ---------------------------------------------------------------------


@cases(3)
@given(changes=damage)
def test_damaged_weights(
    changes: Any, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any flipped or missing byte is noticed, or changes nothing."""
    run = copied(folder, tmp_path_factory)
    path = run / "weights.safetensors"
    before, metadata = load_tensors(path)
    path.write_bytes(flip(path.read_bytes(), *changes))
    found = told("weights", [path.name], lambda: load_tensors(path))
    if found is not None:
        assert found[1] == metadata
        assert found[0].keys() == before.keys()
        assert all(torch.equal(found[0][name], before[name]) for name in before)
    told("trained runs", [path.name], lambda: load_model(run))


def test_weights_give_the_same_bytes() -> None:
    """The library orders several keys of metadata at random."""
    tensors = {"b": torch.zeros(3), "a": torch.ones(2, dtype=torch.int64)}
    metadata = {name: name for name in "zyxwv"}
    assert len({pack(tensors, metadata) for _ in range(10)}) == 1


@cases(2)
@given(
    length=st.sampled_from([0, 1, 7, 100, 2**20, 2**31, 2**32, 2**40, 2**63, 2**64 - 1]),
    header=st.one_of(
        st.binary(max_size=80),
        st.sampled_from(
            [
                b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}',
                b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
                b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
                b'{"a":{"dtype":"OBJECT","shape":[1],"data_offsets":[0,4]}}',
                b'{"__metadata__":{"rungs":"[]"}}',
                b'{"__metadata__":{"rungs":"{\\"metadata\\":3,\\"sha256\\":4}"}}',
                b'{"__metadata__":{"rungs":' + b"[" * 5000 + b"}}",
                b"[" * 100_000,
                pickle.dumps({"a": np.zeros(3)}),
            ]
        ),
    ),
    exact=st.booleans(),
)
def test_files_that_are_no_weights(
    length: int, header: bytes, exact: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("w") / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header) if exact else length) + header + bytes(4))
    assert told("weights", [path.name], lambda: load_tensors(path)) is None


def changed_weights(tensors: dict[str, torch.Tensor], name: str, change: str) -> None:
    """One tensor other than it should be, with a checksum that agrees."""
    found = tensors[name]
    match change:
        case "missing":
            del tensors[name]
        case "renamed":
            tensors[f"{name}\n"] = tensors.pop(name)
        case "not finite":
            tensors[name] = torch.full_like(found.float(), torch.nan)
        case "endless":
            tensors[name] = torch.full_like(found.float(), torch.inf)
        case "integers":
            tensors[name] = found.to(torch.int64)
        case "complex":
            tensors[name] = found.to(torch.complex64)
        case "larger":
            tensors[name] = torch.zeros(*found.shape, 2)
        case "one":
            tensors[name] = torch.zeros(1)
        case "none":
            tensors[name] = torch.zeros(0)


CHANGES = [
    *("missing", "renamed", "not finite", "endless", "integers", "complex", "larger", "one", "none")
]


@cases(2)
@given(data=st.data(), change=st.sampled_from(CHANGES))
def test_weights_of_another_kind(
    data: st.DataObject, change: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = copied(folder, tmp_path_factory)
    path = run / "weights.safetensors"
    tensors, metadata = load_tensors(path)
    name = data.draw(st.sampled_from(sorted(tensors)))
    was = tensors[name]
    changed_weights(tensors, name, change)
    save_tensors(path, tensors, metadata)
    found = told("weights of another kind", [path.name], lambda: load_model(run))
    assert found is None or (
        (was.dim() == 0 and change in ("one", "integers")) or not was.is_floating_point()
    )


@cases(2)
@given(
    change=st.sampled_from([*CHANGES, "flipped", "pickle", "no checksum", "longer history"]),
    data=st.data(),
)
def test_checkpoints(
    change: str, data: st.DataObject, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A checkpoint is taken up as it was written, or not at all, and then nothing of it."""
    settings = resolve(profile(), RUN) | {"seed": 7}
    settings = settings | {"training": settings["training"] | {"epochs": 3}}
    images = torch.from_numpy(result_file.read(Layout.data("mnist5k"))["test/images"]).flatten(1)
    first = Trainer(settings, images[:256], "cpu")
    first.run_epoch()
    tensors, metadata = first.state()
    metadata |= checkpoints.identity(tensors, "k")
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    path = tmp_path_factory.mktemp("c") / "checkpoint.safetensors"
    if change in CHANGES:
        changed_weights(tensors, data.draw(st.sampled_from(sorted(tensors))), change)
    if change == "longer history":
        tensors = {
            n: t.repeat(9, *[1] * (t.dim() - 1)) if n.startswith("history/") else t
            for n, t in tensors.items()
        }
    content = pack(tensors, metadata)
    if change == "flipped":
        content = flip(content, data.draw(flips), 1.0)
    path.write_bytes(
        {"pickle": pickle.dumps(tensors), "no checksum": save(tensors, metadata)}.get(
            change, content
        )
    )
    second = Trainer(settings, images[:256], "cpu")
    fresh = {name: tensor.clone() for name, tensor in second.model.state_dict().items()}

    def resume() -> bool:
        checkpoints.load(second, path, "k")
        return True

    if told("checkpoints", [path.name, "checkpoint"], resume):
        assert second.epoch == 1
        second.run_epoch()
        first.run_epoch()
        assert torch.equal(second.parameters.values, first.parameters.values)
    else:
        now = second.model.state_dict()
        assert all(torch.equal(now[name], fresh[name]) for name in fresh)
        assert second.epoch == 0


# --- result files --------------------------------------------------------------------------------


@cases(4)
@given(name=st.sampled_from(["training.h5", "evaluation.h5"]), changes=damage)
def test_damaged_result_files(
    name: str, changes: Any, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any flipped or missing byte is noticed, or changes nothing that is read."""
    path = copied(folder, tmp_path_factory) / name
    before = result_file.read(path)
    path.write_bytes(flip(path.read_bytes(), *changes))
    found = told("result files", [name], lambda: result_file.read(path))
    told("result files", [name], lambda: result_file.fingerprint(path))
    if found is not None:
        assert found.attributes == before.attributes
        assert found.arrays.keys() == before.arrays.keys()
        for array, values in found.arrays.items():
            np.testing.assert_array_equal(values, before.arrays[array])


def signed(**attributes: Any) -> Callable[[h5py.File], None]:
    """Attributes whose checksum agrees."""

    def make(file: h5py.File) -> None:
        for key, value in attributes.items():
            file.attrs[key] = value
        text = str(file.attrs["attributes"])
        file.attrs["attributes_sha256"] = sha256(text.encode())

    return make


def added(**keywords: Any) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        file.create_dataset("strange", **keywords).attrs["sha256"] = "0" * 64

    return make


def linked(target: Any) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        file["strange"] = target

    return make


def wide_chunk(file: h5py.File) -> None:
    chunks = {"maxshape": (None, None), "chunks": (60_000, 60_000)}
    file.create_dataset("strange", (2, 2), "u1", compression="gzip", **chunks).attrs["sha256"] = ""


STRANGE: dict[str, Callable[[h5py.File], Any]] = {
    "absurd": added(shape=(2**40,), dtype="f8", chunks=(1000,)),
    "absurd product": added(shape=(2**31, 2**31, 2**31), dtype="f8", chunks=(1, 8, 8)),
    "large": added(shape=(2**30,), dtype="f8", chunks=(1000,)),
    "wide chunk": wide_chunk,
    "outside": added(shape=(10,), dtype="u1", external=[("/etc/passwd", 0, 10)]),
    "objects": added(shape=(10,), dtype=h5py.vlen_dtype("u1")),
    "text": added(data=["a"]),
    "references": added(shape=(2,), dtype=h5py.ref_dtype),
    "empty": added(data=h5py.Empty("f")),
    "compound": added(shape=(4,), dtype=np.dtype([("a", "u1")])),
    "no checksum": lambda file: file.create_dataset("strange", data=[1]),
    "checksum of another type": lambda file: file["elbo"].attrs.__setitem__("sha256", [1, 2]),
    "no attributes": lambda file: file.attrs.__delitem__("attributes"),
    "deep attributes": signed(attributes="[" * 60_000),
    "list of attributes": signed(attributes="[1]"),
    "no JSON": signed(attributes="{"),
    "bytes": signed(attributes=np.void(b"\xff\xfe")),
}
HARMLESS: dict[str, Callable[[h5py.File], Any]] = {
    "external link": linked(h5py.ExternalLink("/etc/passwd", "/x")),
    "soft link": linked(h5py.SoftLink("/nowhere")),
    "link to itself": linked(h5py.SoftLink("/strange")),
    "group cycle": lambda file: file.__setitem__("strange", file["/"]),
    "no run": signed(attributes="{}"),
}


@pytest.mark.parametrize("name", [*STRANGE, *HARMLESS])
def test_strange_result_files(
    name: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Links are not followed; what lies elsewhere, or in no memory, is refused before it is read."""
    run = copied(folder, tmp_path_factory)
    path = run / "training.h5"
    before = result_file.read(path)
    with h5py.File(path, "r+") as file:
        (STRANGE | HARMLESS)[name](file)
    assert told("strange result files", [path.name], lambda: result_file.read(path)) is None
    path.write_bytes(hdf5.signed(path.read_bytes()[hdf5.BLOCK :]))
    found = told("strange result files", [path.name], lambda: result_file.read(path))
    assert (found is not None) == (name in HARMLESS)
    if found is not None:
        assert found.arrays.keys() == before.arrays.keys()
    model = told("trained runs", [path.name], lambda: load_model(run))
    assert name != "no run" or model is None


def replaced(content: Any, data: st.DataObject) -> Any:
    """JSON with one of its values replaced, removed or added to."""
    if not isinstance(content, dict | list) or not content or data.draw(st.integers(0, 4)) == 0:
        return data.draw(strange)
    key = data.draw(st.sampled_from(sorted(content) if isinstance(content, dict) else [0]))
    changed: Any = dict(content) if isinstance(content, dict) else list(content)
    match data.draw(st.integers(0, 5)):
        case 0:
            del changed[key]
        case 1 if isinstance(changed, dict):
            changed[data.draw(st.sampled_from(["x", "", "../x", "a\nb"]))] = data.draw(strange)
        case _:
            changed[key] = replaced(content[key], data)
    return changed


def rewritten(path: Path, data: st.DataObject) -> None:
    """A result file whose checksums agree, with other arrays or attributes."""
    found = result_file.read(path)
    arrays, attributes = dict(found.arrays), found.attributes
    if data.draw(st.booleans()):
        attributes = replaced(json.loads(json.dumps(attributes)), data)
    else:
        name = data.draw(st.sampled_from(sorted(arrays)))
        array = np.atleast_1d(arrays.pop(name))
        match data.draw(
            st.sampled_from(["remove", "shape", "shorter", "type", "values", "rename"])
        ):
            case "shape":
                arrays[name] = array.reshape(-1, 1) if array.size else array
            case "shorter":
                arrays[name] = array[: len(array) // 2]
            case "type":
                arrays[name] = array.astype(data.draw(st.sampled_from(["S4", "i1", "c16", "?"])))
            case "values":
                arrays[name] = np.full_like(array, np.nan, dtype=np.float64)
            case "rename":
                arrays[f"{name}x"] = array
    result_file.write(path, arrays, attributes)


@cases(2)
@given(data=st.data(), name=st.sampled_from(["training.h5", "evaluation.h5"]))
def test_result_files_of_another_layout(
    data: st.DataObject, name: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Checksums that agree with the wrong content: loading, verifying and exporting do not fall over."""
    run = copied(folder, tmp_path_factory)
    rewritten(run / name, data)
    names = [run.name, name, "configuration", "model", "weights", "data set", "mnist5k"]
    told("other layouts", names, lambda: load_model(run))
    told("other layouts", names, lambda: verify_run(run, Path(Layout.data("mnist5k")), 10))


ALTERED = ["run.json", "configuration.json", MANIFEST, "training.h5", "evaluation.h5"]


# --- archives ------------------------------------------------------------------------------------


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def repack(path: Path, found: dict[str, bytes]) -> None:
    """An archive whose manifest agrees with its members."""
    manifest = json.loads(found[MANIFEST])
    manifest["members"] = {
        name: {"bytes": len(content), "sha256": sha256(content)}
        for name, content in found.items()
        if name != MANIFEST
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, content in {**found, MANIFEST: json.dumps(manifest).encode()}.items():
            file.writestr(name, content)


def opened(path: Path) -> Path:
    """What `rungs load` does."""
    target = open_archive(path)
    with pytest.raises(SystemExit) as status, redirect_stdout(io.StringIO()):
        main(["load", str(path), "--as", str(target)])
    if status.value.code:
        raise RungsError(f"{path}: refused at the command line")
    return target


@cases(3)
@given(changes=damage)
def test_damaged_archives(
    changes: Any, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("a") / "run.zip"
    path.write_bytes(flip((folder / "run.zip").read_bytes(), *changes))
    target = told("damaged archives", [path.name], lambda: opened(path))
    if target is None:
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        return
    for name, content in members(folder / "run.zip").items():
        assert (target / name).read_bytes() == content


@cases(1)
@given(data=st.data(), name=st.sampled_from(ALTERED))
def test_archives_of_other_content(
    data: st.DataObject, name: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hashes that agree with the wrong content: refused, or shown without falling over."""
    place = tmp_path_factory.mktemp("a")
    path, found = place / "run.zip", members(folder / "run.zip")
    if name.endswith(".json"):
        found[name] = json.dumps(replaced(json.loads(found[name]), data)).encode()
    else:
        (place / name).write_bytes(found[name])
        rewritten(place / name, data)
        found[name] = (place / name).read_bytes()
        (place / name).unlink()
    try:
        repack(path, found)
    except (TypeError, KeyError, AttributeError, ValueError):
        with zipfile.ZipFile(path, "w") as file:
            for member, content in found.items():
                file.writestr(member, content)
    target = told("archives of other content", [path.name, path.stem, name], lambda: opened(path))
    if target is not None:
        names = [target.name, "configuration", "model", "weights", "data set", "mnist5k"]
        told("runs of archives", names, lambda: load_model(target))
        told(
            "runs of archives", names, lambda: verify_run(target, Path(Layout.data("mnist5k")), 10)
        )


@cases(2)
@given(
    name=st.sampled_from(
        [
            *("../x", "/tmp/x", "..\\x", "figures/../../x", "a\0b", "a\nb", "C:x", "//x", "é"),
            *("x" * 300, "run.json/", "RUN.JSON", "prior/", "weights.pkl", *MEMBERS),
        ]
    ),
    mode=st.sampled_from([0, 0o100644, 0o120777, 0o040755, 0o010644, 0o060644]),
    flag=st.sampled_from([0, 1, 0x800, 0x2000]),
    size=st.sampled_from([None, 0, 2**20, 2**31, 2**32 - 1]),
)
def test_members_of_archives(
    name: str,
    mode: int,
    flag: int,
    size: int | None,
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A further member, or one of the same name, a link, a device, one that lies about its size."""
    place = tmp_path_factory.mktemp("a")
    path = place / "run.zip"
    path.write_bytes((folder / "run.zip").read_bytes())
    with zipfile.ZipFile(path, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that is there already
        entry = zipfile.ZipInfo(name)
        entry.external_attr, entry.create_system = mode << 16, 3
        file.writestr(entry, b"/etc/passwd")
        if size is not None:
            file.filelist[-1].file_size = size
        file.filelist[-1].flag_bits |= flag
    assert told("members of archives", [path.name], lambda: opened(path)) is None
    assert [p.name for p in place.iterdir()] == [path.name]
    assert not Path("/tmp/x").exists()
    assert not (place.parent / "x").exists()


@pytest.mark.parametrize("what", [".", "/", "..", "folder", "none.zip", "pipe.zip", "run"])
def test_archives_that_are_none(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "run").write_bytes(b"PK")
    path = what if what in (".", "/", "..") else str(tmp_path / what)
    with pytest.raises(SystemExit) as status, limited():
        main(["load", path])
    assert status.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


@cases(3)
@given(content=st.one_of(strange.map(json.dumps), st.binary(max_size=20), st.just("[" * 9999)))
def test_files_of_costs(content: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("c") / "training-cost.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told("files of costs", [path.name], lambda: read_cost(path))
    seconds = told("files of costs", [path.name], lambda: read_seconds(path))
    assert seconds is None


def test_a_file_of_costs_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"seconds": 3}')
    assert read_seconds(tmp_path / "x.json") == 3.0
