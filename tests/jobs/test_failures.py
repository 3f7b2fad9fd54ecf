"""A run of a pack that fails, fails alone: its companions are done, and no retry begins with it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import copy_workflow, run_snakemake
from rungs.errors import RungsError, TrainingError
from rungs.evaluation import run as evaluation
from rungs.jobs import failures, work
from rungs.jobs import train as training
from rungs.jobs.packs import packs
from rungs.storage import result_file
from rungs.study.layout import Layout
from rungs.study.runs import Run

GAUSS, BAD, LATE = (Run("mnist5k", name, 2, 0, "latent") for name in ("gauss", "bad", "late"))
LAYOUT = Layout("smoke")
TRAINED = ("training.h5", "training-cost.json", "weights.safetensors")

Configure = Callable[..., dict[str, Any]]


@pytest.fixture
def configure(
    smoke_config: dict[str, Any], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Configure:
    """A profile with one pack, in whose middle is a run with a learning rate of 1e30."""
    monkeypatch.chdir(tmp_path)
    target = tmp_path / LAYOUT.data("mnist5k")
    target.parent.mkdir(parents=True)
    target.write_bytes(digits.read_bytes())

    def make(rate: float = 1e30, ensemble: int = 1, **late: Any) -> dict[str, Any]:
        config = copy.deepcopy(smoke_config)
        variants = config["variants"]
        variants["bad"] = {"model": "single", "training": {"learning_rate": rate}}
        variants["late"] = {"model": "single", **late}
        variants["gauss"] = {"model": "single", "evaluation": {"probe_latents": []}}
        config["compute"] |= {"pack": 4, "ensemble": ensemble}
        config["training"] |= {"epochs": 2, "continuation": 0.0, "batch_size": 500}
        config["network"] |= {"hidden_sizes": [8], "latent_sizes": [2]}
        config["evaluation"] |= {"samples": 2, "images": 10, "train_images": 10, "unit_samples": 2}
        grid = {"datasets": ["mnist5k"], "variants": ["gauss", "bad", "late"], "latents": [2]}
        config["experiments"] = {"mixture": [{**grid, "seeds": [0]}]}
        return config

    return make


def files(run: Run, pattern: str = "*") -> list[str]:
    return sorted(path.name for path in Path(LAYOUT.work(run)).glob(pattern) if path.is_file())


def only_pack(config: dict[str, Any]) -> str:
    (name,) = packs(config)
    return name


def test_the_companions_of_a_run_that_diverges_are_trained(
    configure: Configure, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure()
    trained = []
    together = training.train_together

    def noted(jobs: list[training.TrainingJob], *rest: Any, **more: Any) -> None:
        trained.extend(job.settings["variant"] for job in jobs)
        together(jobs, *rest, **more)

    monkeypatch.setattr(training, "train_together", noted)
    work.work_through(config, "train", only_pack(config))
    assert sorted(trained) == ["bad", "gauss", "late"]
    for run in (GAUSS, LATE):
        assert files(run) == sorted(TRAINED)
    assert files(BAD) == ["train-failure.txt"]
    told = f"run {BAD.path}: the loss is not finite in epoch 1."
    assert told in capsys.readouterr().err
    # with the same settings it is not tried again, and nothing else is
    work.work_through(config, "train", only_pack(config))
    assert len(trained) == 3
    assert told in capsys.readouterr().err
    # unless somebody wants to
    Path(LAYOUT.failure("train", BAD)).unlink()
    work.work_through(config, "train", only_pack(config))
    assert trained[3:] == ["bad"]
    # with other settings it is
    work.work_through(configure(0.001), "train", only_pack(config))
    assert trained[4:] == ["bad"]
    assert files(BAD) == sorted(TRAINED)
    # what was trained with other settings is not taken for what fails now
    work.work_through(config, "train", only_pack(config))
    monkeypatch.setattr(Layout, "classifier_of", lambda *_: None)
    work.work_through(config, "evaluate", only_pack(config))
    assert files(BAD) == ["evaluate-failure.txt", "train-failure.txt"]
    assert files(LATE, "eval*") == ["evaluation-cost.json", "evaluation.h5"]


def test_one_of_several_side_by_side_fails_alone(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three in one group; the two that are left are trained as a group of two."""
    import rungs.training.side_by_side as side_by_side

    monkeypatch.setattr(side_by_side, "ensemble_key", lambda settings: "one")
    config = configure(ensemble=3)
    groups = []
    train_group = training._train_group

    def noted(group: list[training.Member], *rest: Any) -> None:
        groups.append(sorted(member.name for member in group))
        # the rate of a group is that of its first run
        rates = {m.trainer.recipe["learning_rate"] for m in group}
        if len(rates) > 1:
            (bad,) = [m for m in group if m.trainer.recipe["learning_rate"] > 1]
            raise failures.FailedRunError(f"run {bad.name}: not finite", bad.folder, bad.key)
        train_group(group, *rest)

    monkeypatch.setattr(training, "_train_group", noted)
    work.work_through(config, "train", only_pack(config))
    assert groups == [sorted(r.path for r in (GAUSS, BAD, LATE)), [GAUSS.path, LATE.path]]
    assert files(GAUSS) == files(LATE) == sorted(TRAINED)
    assert files(BAD) == ["train-failure.txt"]


def test_evaluations_fail_one_by_one(
    configure: Configure, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that is not trained, and one whose evaluation fails, which the next job tries again."""
    config = configure()
    monkeypatch.setattr(Layout, "classifier_of", lambda *_: None)
    work.work_through(config, "train", only_pack(config))
    evaluate = evaluation.evaluate

    def breaking(inputs: evaluation.Inputs, output: Path) -> None:
        if "/late/" in str(output):
            raise ValueError("no such luck")
        evaluate(inputs, output)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "evaluate", breaking)
        work.work_through(config, "evaluate", only_pack(config))
    assert files(GAUSS, "eval*") == ["evaluation-cost.json", "evaluation.h5"]
    assert files(BAD) == ["evaluate-failure.txt", "train-failure.txt"]
    assert files(LATE, "eval*") == ["evaluate-failure.txt"]
    told = capsys.readouterr().err
    assert f"{LATE.path}: ValueError: no such luck. The same command tries it again." in told
    before = Path(LAYOUT.work(GAUSS), "evaluation.h5").stat().st_mtime_ns
    work.work_through(config, "evaluate", only_pack(config))
    assert files(LATE, "eval*") == ["evaluation-cost.json", "evaluation.h5"]
    assert Path(LAYOUT.work(GAUSS), "evaluation.h5").stat().st_mtime_ns == before
    assert not (Path(LAYOUT.run(GAUSS)) / "evaluation.h5").exists()


def test_a_failure_of_all_is_that_of_the_job(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that Snakemake tries it again, with more memory."""
    config = configure()

    def full(*_: Any, **__: Any) -> None:
        raise RungsError("results: cannot be written")

    monkeypatch.setattr(training, "train_together", full)
    with pytest.raises(RungsError, match="cannot be written"):
        work.work_through(config, "train", only_pack(config))

    def short(jobs: list[training.TrainingJob], *_: Any, **__: Any) -> None:
        if jobs[0].settings["variant"] == "late":
            raise MemoryError("8 GB")

    monkeypatch.setattr(training, "train_together", short)
    with pytest.raises(MemoryError):
        work.work_through(config, "train", only_pack(config))


def test_a_run_that_continues_one_that_failed_waits_for_it(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(continues="bad")
    first, second = packs(config)
    work.work_through(config, "train", first)
    assert files(GAUSS) == sorted(TRAINED)
    work.work_through(config, "train", second)
    assert files(LATE) == ["train-failure.txt"]
    assert "the loss is not finite" in failures.recorded(Path(LAYOUT.work(LATE)), "train")  # type: ignore[operator]
    config = configure(0.001, continues="bad")
    for name in (first, second):
        work.work_through(config, "train", name)
    assert files(LATE) == sorted(TRAINED)


def test_a_run_by_itself_fails_with_its_message(configure: Configure) -> None:
    with pytest.raises(TrainingError, match=r"bad/latent2/seed0.*learning_rate"):
        work.train_runs(configure(), {BAD: Path(LAYOUT.run(BAD))})
    assert not list(Path(LAYOUT.run(BAD)).glob("*"))
    with pytest.raises(RungsError, match=f"run: rungs train {BAD.path}"):
        work.train_runs(configure(continues="bad"), {LATE: Path(LAYOUT.run(LATE))})


def test_companions_are_evaluated_where_the_likelihood_is_split(
    configure: Configure, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs of its parts do not fail with their run, and what is missing the evaluation makes up for."""
    monkeypatch.setattr(Layout, "classifier_of", lambda *_: None)
    config = configure()
    config["compute"]["shards"], config["evaluation"]["images"] = 2, 60
    work.work_through(config, "train", only_pack(config))
    for run in (BAD, GAUSS, LATE):
        for shard in range(2):
            work.likelihood_run(config, run, shard)
    assert files(BAD) == ["train-failure.txt"]
    parts = [f"likelihood-{i}of2{suffix}" for i in range(2) for suffix in (".h5", ".json")]
    assert files(GAUSS, "like*") == files(LATE, "like*") == parts
    Path(LAYOUT.work(LATE), parts[0]).unlink()
    capsys.readouterr()
    work.work_through(config, "evaluate", only_pack(config))
    assert files(BAD) == ["evaluate-failure.txt", "train-failure.txt"]
    bounds = {}
    for run in (GAUSS, LATE):
        found = result_file.read(Path(LAYOUT.work(run), "evaluation.h5"))
        bounds[run] = found["test/lk"]
        assert bounds[run].shape == (60,)
    assert f"{LATE.path}: estimates the likelihood without its parts" in capsys.readouterr().err
    # parts of other settings are no parts
    config["evaluation"]["samples"] = 3
    work.work_through(config, "evaluate", only_pack(config))
    assert f"{GAUSS.path}: estimates the likelihood without" in capsys.readouterr().err
    again = result_file.read(Path(LAYOUT.work(GAUSS), "evaluation.h5"))["test/lk"]
    assert not np.array_equal(again, bounds[GAUSS])
    with pytest.raises(RungsError, match=r"--shard 2: the likelihood of .* has 2 shards"):
        work.likelihood_run(config, GAUSS, 2)


def test_what_is_deleted_without_packs_is_copied_back(
    configure: Configure, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake deletes the outputs of a job whose input has a new time, such as data prepared again."""
    monkeypatch.setattr(Layout, "classifier_of", lambda *_: None)
    config = configure(0.001)
    config["compute"]["pack"] = 1
    folder = Path(LAYOUT.run(GAUSS))

    def make(config: dict[str, Any]) -> None:
        work.train_runs(config, {GAUSS: folder})
        work.evaluate_run(config, GAUSS, folder)

    make(config)
    names = (*TRAINED, "evaluation-cost.json", "evaluation.h5")
    before = {name: (folder / name).read_bytes() for name in names}
    assert all((folder / name).samefile(Path(LAYOUT.work(GAUSS), name)) for name in names)
    for name in names:
        (folder / name).unlink()
    capsys.readouterr()
    make(config)
    assert f"{GAUSS.path}: is trained\n{GAUSS.path}: is evaluated" in capsys.readouterr().err
    assert {name: (folder / name).read_bytes() for name in names} == before
    # not with other settings
    config["training"]["learning_rate"] = 0.002
    for name in names:
        (folder / name).unlink()
    make(config)
    assert (folder / "weights.safetensors").read_bytes() != before["weights.safetensors"]


PROFILE = """
profile: smoke
experiments:
  mixture: [{datasets: [mnist5k], variants: [gauss, bad, late], latents: [2], seeds: [0]}]
variants:
  gauss: {evaluation: {probe_latents: []}}
  bad: {model: single, training: {learning_rate: 1.0e+30}}
  late: {model: single}
network: {hidden_sizes: [8]}
training: {epochs: 2}
evaluation: {samples: 2, images: 60, train_images: 20, unit_samples: 2}
compute: {pack: 3, shards: 2}
"""


def test_the_workflow_makes_all_but_the_run_that_fails(tmp_path: Path) -> None:
    clone = copy_workflow(tmp_path)
    (clone / "p.yaml").write_text(PROFILE)
    results = {run: f"{LAYOUT.run(run)}/evaluation.h5" for run in (GAUSS, BAD, LATE)}

    def make(*options: str) -> tuple[int, str]:
        done = run_snakemake(clone, *options, "--configfile", "p.yaml", "--", *results.values())
        return done.returncode, done.stdout + done.stderr

    status, output = make("--keep-going")
    assert status == 1
    assert f"run {BAD.path}: the loss is not finite in epoch 1." in output
    assert [(clone / results[run]).exists() for run in results] == [True, False, True], output
    before = (clone / results[GAUSS]).stat().st_mtime_ns
    # at the next call nothing is done but to tell it again
    status, output = make()
    assert status == 1
    assert f"run {BAD.path}: the loss is not finite in epoch 1." in output
    assert "rule train" not in output
    assert "rule evaluate" not in output
    assert "rule likelihood" not in output
    (clone / "p.yaml").write_text(PROFILE.replace("1.0e+30", "0.001"))
    status, output = make()
    assert status == 0, output
    logs = (clone / "results/smoke/logs/packs").glob("train-*.log")
    assert any(f"{GAUSS.path}: is trained" in log.read_text() for log in logs)
    assert (clone / results[BAD]).exists()
    # what was trained with other settings is not copied for what fails now
    (clone / "p.yaml").write_text(PROFILE)
    status, output = make("--keep-going")
    assert status == 1
    assert f"run {BAD.path}: the loss is not finite in epoch 1." in output
    assert not (clone / LAYOUT.run(BAD) / "weights.safetensors").exists()
    assert (clone / results[GAUSS]).stat().st_mtime_ns >= before
