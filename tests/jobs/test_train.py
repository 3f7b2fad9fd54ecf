"""Training as a job does it: the same bytes, whatever interrupts it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rungs.errors import StoreError
from rungs.evaluation.run import load_model
from rungs.jobs.train import is_trained, train
from rungs.storage import result_file
from rungs.storage.tensors import load_tensors, load_weights, save_tensors
from rungs.study.keys import run_key

SettingsOf = Callable[..., dict[str, Any]]

RESULTS = ("weights.safetensors", "training.h5")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def test_the_same_run_gives_the_same_bytes(
    settings_of: SettingsOf, digits: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        train(settings_of(epochs=2), digits, tmp_path / name, 5)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    other = settings_of(epochs=2) | {"seed": 1}
    train(other, digits, tmp_path / "c", 5)
    assert contents(tmp_path / "c") != contents(tmp_path / "a")


def start(folder: Path, settings: dict[str, Any], digits: Path) -> subprocess.Popen[str]:
    """Train in a process of its own, a checkpoint every epoch."""
    code = (
        "import json, sys; from pathlib import Path\n"
        "from rungs.jobs.signals import Interrupted; from rungs.jobs.train import train\n"
        "try: train(json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), 1e-9)\n"
        "except Interrupted as stopped: print(stopped); sys.exit(75)\n"
    )
    arguments = [json.dumps(settings), str(digits), str(folder)]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_checkpoint(process: subprocess.Popen[str], folder: Path, newer_than: int = 0) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = list(folder.glob("checkpoint-*.safetensors"))
        if found and found[0].stat().st_mtime_ns > newer_than:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("no checkpoint appeared")


@pytest.mark.parametrize("variant", ["lvae-bn-wu", "vae"])
def test_a_killed_run_ends_where_an_undisturbed_one_ends(
    variant: str, settings_of: SettingsOf, digits: Path, tmp_path: Path
) -> None:
    """A real SIGKILL, twice, at whatever moment; then the same bytes."""
    settings = settings_of(variant, epochs=12)
    train(settings, digits, tmp_path / "whole", 5)
    folder, newest = tmp_path / "killed", 0
    for _ in range(2):
        process = start(folder, settings, digits)
        wait_for_checkpoint(process, folder, newest)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "training.h5").exists()
        (checkpoint,) = folder.glob("checkpoint-*.safetensors")
        newest = checkpoint.stat().st_mtime_ns
    process = start(folder, settings, digits)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "resumed after epoch" in errors
    assert contents(folder) == contents(tmp_path / "whole")
    assert not list(folder.glob("checkpoint-*"))


def test_a_terminated_run_saves_itself(
    settings_of: SettingsOf, digits: Path, tmp_path: Path
) -> None:
    settings = settings_of(epochs=2000)
    process = start(tmp_path, settings, digits)
    wait_for_checkpoint(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert "the same command continues it" in output
    tensors, metadata = load_tensors(next(tmp_path.glob("checkpoint-*")))
    assert metadata["key"] == run_key(settings, digits)
    assert f"epoch {len(tensors['history/elbo'])}/2400" in output


def test_weights_of_another_model_are_refused(
    settings_of: SettingsOf, digits: Path, tmp_path: Path
) -> None:
    train(settings_of(epochs=1), digits, tmp_path, 5)
    model, settings = load_model(tmp_path)
    assert settings == settings_of(epochs=1)
    save_tensors(tmp_path / "other", torch.nn.Linear(2, 2).state_dict(), {})
    with pytest.raises(StoreError, match="another model"):
        load_weights(model, tmp_path / "other")  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [{"monte_carlo_samples": 3}, {"importance_samples": 3}])
def test_fine_tuning_starts_where_the_other_run_ended(
    samples: dict[str, int], settings_of: SettingsOf, digits: Path, tmp_path: Path
) -> None:
    train(settings_of(epochs=4), digits, tmp_path / "first", 5)
    start = tmp_path / "first" / "weights.safetensors"
    settings = settings_of("lvae-bn-wu-iw10", epochs=2, learning_rate=1e-12, **samples)
    train(settings, digits, tmp_path / "second", 5, start)
    before, after = (load_tensors(p)[0] for p in (start, tmp_path / "second/weights.safetensors"))
    for name, tensor in before.items():
        if not name.endswith((".mean", ".variance")):
            torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-6)
    first, second = (
        result_file.read(tmp_path / f / "training.h5")["elbo"] for f in ("first", "second")
    )
    assert second[0] > first[-1] - 5


def test_what_is_trained_is_known(settings_of: Any, digits: Path, tmp_path: Path) -> None:
    key = run_key(settings_of(epochs=1), digits)
    assert not is_trained(tmp_path, key)
    train(settings_of(epochs=1), digits, tmp_path, 5)
    assert is_trained(tmp_path, key)
    assert not is_trained(tmp_path, run_key(settings_of(epochs=2), digits))
    (tmp_path / "weights.safetensors").unlink()
    assert not is_trained(tmp_path, key)
