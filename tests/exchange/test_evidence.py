"""Evidence: collected, opened, checked; and none that is damaged or from elsewhere is trusted."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
from PIL import Image

from conftest import changed
from rungs.cli import cli
from rungs.errors import ArchiveError, ConfigError, RungsError, StoreError
from rungs.exchange import evidence
from rungs.exchange.evidence import SUMS, check, collect, of_runs, open_evidence
from rungs.paths import ROOT
from rungs.storage import hdf5
from rungs.storage.atomic import sha256
from rungs.study import profile
from rungs.study.runs import Run, runs
from rungs.tables import TABLES

Config = dict[str, Any]
DEEP = Run("mnist5k", "vae", 5, 0)
HISTORY = "runs/mnist5k/vae/depth5/seed0/training.h5"
#: the same but for points of scatter plots and histories, which are rounded
FIGURES = ("ladder_samples", "ladder_reconstructions", "ladder_ablation", "ladder_loglik")


@pytest.fixture(scope="module")
def config(tiny_workflow: Path) -> Config:
    return profile.load([tiny_workflow / "clone" / "tiny.yaml"])


@pytest.fixture(scope="module")
def kept(tiny_workflow: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence of the tiny profile."""
    folder = tmp_path_factory.mktemp("evidence") / "kept"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tiny_workflow / "clone")
        found = collect(config, folder)
    assert (len(found.added), found.kept, found.left) == (2, [], {})
    return folder


@pytest.fixture
def copy(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(kept, tmp_path / "copy"))


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def sign(folder: Path) -> None:
    """Write sums that agree with the files."""
    names = sorted(content(folder).keys() - {SUMS})
    lines = [f"{sha256((folder / name).read_bytes())}  {name}\n" for name in names]
    (folder / SUMS).write_text("".join(lines))


# --- what comes back ----------------------------------------------------------------------------


def test_the_tables_of_the_evidence_here_are_made_again_byte_for_byte() -> None:
    folder = ROOT / "resources/evidence/reference"
    assert check(folder) == len(runs(json.loads((folder / "configuration.json").read_text())))


def test_tables_and_figures_come_back(copy: Path, tiny_workflow: Path, tmp_path: Path) -> None:
    made = tiny_workflow / "clone/results/tiny"
    assert not list(copy.rglob("*.safetensors"))
    open_evidence(copy)
    for name in TABLES:
        cli(["table", name, "--config", "copy/configuration.json"], standalone_mode=False)
        again = (tmp_path / f"results/tiny/tables/{name}.csv").read_bytes()
        assert again == (made / f"tables/{name}.csv").read_bytes(), name
    for name in FIGURES:
        cli(["figure", name, "--config", "copy/configuration.json"], standalone_mode=False)
        again = (tmp_path / f"results/tiny/figures/{name}.png").read_bytes()
        assert again == (made / f"figures/{name}.png").read_bytes(), name
    assert check(copy) == 2
    # opened once more, nothing is written; what differs is left alone
    open_evidence(copy)
    target = tmp_path / "results/tiny" / HISTORY
    target.write_bytes(b"mine")
    with pytest.raises(StoreError, match=r"training\.h5: is there already and differs"):
        open_evidence(copy)
    assert target.read_bytes() == b"mine"


def test_a_gallery_is_made_from_evidence_alone(
    copy: Path, tiny_workflow: Path, tmp_path: Path
) -> None:
    cli(["gallery", "--evidence", "copy", "page"], standalone_mode=False)
    page = (tmp_path / "page/README.md").read_text()
    for part in (
        "rungs gallery --evidence copy page",
        "## Ladder VAE",
        "### Claims",
        "| run | test ELBO | L_k | s.e. | k | published |",
        "| mnist5k/vae/depth5/seed0 |",
        "ladder_loglik: it needs runs of at least 3 sizes of one data set",
    ):
        assert part in page
    found = {path.name for path in (tmp_path / "page").iterdir()}
    assert {"ladder_samples.png", "ladder_pca.png", "claims.csv", "configuration.json"} <= found
    assert not found & {"ladder_loglik.png", "vae_manifold.png"}
    made = tiny_workflow / "clone/results/tiny/figures/ladder_samples.png"
    with Image.open(tmp_path / "page/ladder_samples.png") as picture, Image.open(made) as original:
        assert picture.mode == "RGB"
        assert picture.tobytes() == original.convert("RGB").tobytes()
    assert not (tmp_path / "results").exists()


def test_the_sums_are_those_of_sha256sum(kept: Path) -> None:
    found = subprocess.run(["sha256sum", "-c", SUMS], cwd=kept, capture_output=True, check=False)
    assert found.returncode == 0, found.stdout


def test_runs_are_added_and_those_that_are_there_stay(
    kept: Path,
    config: Config,
    tiny_workflow: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tiny_workflow / "clone")
    folder = tmp_path / "grown"
    monkeypatch.setattr(evidence, "unfinished", lambda config, run: "" if run == DEEP else "later")
    first = collect(config, folder)
    assert first.left == {"mnist5k/lvae-bn-wu/depth5/seed0": "later"}
    assert runs(json.loads((folder / "configuration.json").read_text())) == [DEEP]
    assert check(folder) == 1
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.h5")}
    monkeypatch.undo()
    monkeypatch.chdir(tiny_workflow / "clone")
    second = collect(config, folder)
    assert (second.added, second.kept) == (["mnist5k/lvae-bn-wu/depth5/seed0"], [DEEP.path])
    assert content(folder) == content(kept)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    # a clone without the runs leaves them
    monkeypatch.chdir(tmp_path)
    assert collect(config, folder).kept == [run.path for run in runs(config)]
    assert content(folder) == content(kept)


@pytest.mark.parametrize("file", [HISTORY, "tables/claims.csv", SUMS])
def test_an_interrupted_collection_is_made_good(
    file: str, kept: Path, config: Config, tiny_workflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun with one run, it is interrupted while the other is added."""
    monkeypatch.chdir(tiny_workflow / "clone")
    folder = kept.parent / f"cut-{file.count('/')}"
    monkeypatch.setattr(evidence, "unfinished", lambda config, run: "later" if run == DEEP else "")
    collect(config, folder)
    monkeypatch.undo()
    monkeypatch.chdir(tiny_workflow / "clone")
    write, before = evidence.write_bytes, content(folder)

    def full(path: Path, content: bytes) -> None:
        if Path(path) == folder / file:
            raise RungsError("the disk is full")
        write(path, content)

    monkeypatch.setattr(evidence, "write_bytes", full)
    with pytest.raises(RungsError, match="full"):
        collect(config, folder)
    if file != "tables/claims.csv":  # the list is the old one
        assert (folder / SUMS).read_bytes() == before[SUMS]
        assert check(folder) == 1
    else:
        with pytest.raises(ArchiveError, match=r"has no configuration\.json.*collect it again"):
            check(folder)
    monkeypatch.setattr(evidence, "write_bytes", write)
    collect(config, folder)
    assert content(folder) == content(kept)


# --- what is refused ----------------------------------------------------------------------------


def test_other_settings_profiles_and_folders_are_refused(copy: Path, config: Config) -> None:
    for key, value, said in (
        ("training.epochs", 3, r"other settings.*training\.epochs"),
        ("evaluation.samples", 11, r"other settings.*samples"),
        ("profile", "other", "the profile tiny, not of other"),
        ("experiments.ladder.0.variants", ["vae"], "lvae-bn-wu/depth5/seed0, which this config"),
    ):
        with pytest.raises(ConfigError, match=said):
            collect(changed(config, key, value), copy)
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other things"):
        collect(config, Path("mine"))
    with pytest.raises(ArchiveError, match="nowhere: the folder of evidence is missing"):
        check(Path("nowhere"))
    with pytest.raises(StoreError, match="no finished run"):
        collect(config, Path("empty"))
    assert not Path("empty").exists()


def huge(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("elbo", shape=(10**12,), dtype="f8", chunks=(1000,))


def outside(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("elbo", (10,), "u1", external=[("/etc/passwd", 0, 10)])


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def of_another(path: Path) -> None:
    shutil.copy(str(path).replace("vae", "lvae-bn-wu"), path)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "missing"),
    "link": (linked, "missing"),
    "huge array": (huge, "more than"),
    "array elsewhere": (outside, "not a plain one"),
    "another run": (of_another, "it is not of the run mnist5k/vae/depth5/seed0"),
    "no HDF5": (lambda path: path.write_bytes(b"mine"), "signature"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(case: str, copy: Path) -> None:
    spoil, said = HOSTILE[case]
    sums = (copy / SUMS).read_text()
    spoil(copy / HISTORY)
    if case not in ("missing", "link"):
        with pytest.raises(ArchiveError, match="differs from its checksum"):
            open_evidence(copy)
        sign(copy)
    else:
        (copy / SUMS).write_text(sums)
    with pytest.raises(RungsError, match=said) as caught:
        open_evidence(copy)
    assert "collect it again" in str(caught.value)
    assert "training.h5" in str(caught.value)
    assert not Path("results").exists()


@pytest.mark.parametrize(
    "line",
    [
        "0" * 64 + "  ../escaped",
        "0" * 64 + "  /etc/passwd",
        "0" * 64 + "  runs/mnist5k/vae/depth5/seed0/weights.safetensors",
        "0" * 64 + "  runs/mnist5k/../depth5/seed0/training.h5",
        "0" * 64 + "  runs/mnist5k/vae/depth05/seed0/training.h5",
        "not a sum",
    ],
)
def test_strange_lists_are_refused(line: str, copy: Path) -> None:
    (copy / SUMS).write_text((copy / SUMS).read_text() + line + "\n")
    with pytest.raises(ArchiveError, match=rf"{SUMS}: .*unexpected line"):
        open_evidence(copy)


def test_a_file_that_is_not_listed_is_left_alone(copy: Path) -> None:
    (copy / "README.md").write_text("about it")
    open_evidence(copy)
    assert not Path("results/tiny/README.md").exists()


def test_a_run_without_its_files_is_refused(copy: Path) -> None:
    shutil.rmtree(copy / "runs/mnist5k/vae")
    sign(copy)
    with pytest.raises(ArchiveError, match="do not agree"):
        open_evidence(copy)


def test_a_file_on_which_libhdf5_dies_is_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "crashes", lambda *paths: "libhdf5 dies of it")
    with pytest.raises(ArchiveError, match="libhdf5 dies"):
        open_evidence(copy)


def test_the_first_difference_of_a_table_is_shown(copy: Path) -> None:
    path = copy / "tables/loglik.csv"
    lines = path.read_text().split("\n")
    lines[2] = lines[2].replace("mnist5k,lvae-bn-wu,5", "mnist5k,lvae-bn-wu,4")
    path.write_text("\n".join(lines))
    sign(copy)
    with pytest.raises(
        StoreError, match=r"loglik\.csv: line 3 is stored as '.*,4,.* and is now '.*,5,"
    ):
        check(copy)


def test_the_reduced_experiments_keep_the_order_of_runs(smoke_config: Config) -> None:
    asked = runs(smoke_config)
    for kept in (asked, asked[::2], asked[:1]):
        again = of_runs(smoke_config, kept)
        assert runs(again) == list(kept)
        assert again["raw_data"] is None
