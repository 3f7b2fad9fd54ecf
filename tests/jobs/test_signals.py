"""Signals stop the work at a moment at which it can be continued."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rungs.cli.steps import interruptible
from rungs.jobs.signals import STOPPING, Interrupted, noted_signals, time_limit
from rungs.jobs.train import train
from rungs.storage import result_file
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]


def test_a_time_limit_saves_and_stops(
    settings_of: SettingsOf, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When ``--minutes`` are over, the run saves itself at the end of its epoch."""
    whole = Trainer.run_epoch

    def and_the_time_is_up(self: Trainer) -> None:
        whole(self)
        signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(Trainer, "run_epoch", and_the_time_is_up)
    with pytest.raises(Interrupted, match="SIGALRM after epoch 1/5"):
        train(settings_of(epochs=4), digits, tmp_path, 5)
    assert len(list(tmp_path.glob("checkpoint-*.safetensors"))) == 1
    with pytest.raises(SystemExit) as stopped, interruptible(1e-6):
        time.sleep(5)
    assert stopped.value.code == os.EX_TEMPFAIL


def test_a_request_to_stop_is_no_error_that_a_library_may_have(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader takes any :class:`Exception` for damage to its file, wherever the signal comes."""
    monkeypatch.setattr(
        result_file.h5py, "File", lambda *a, **k: signal.raise_signal(signal.SIGALRM)
    )
    with pytest.raises(SystemExit) as stopped, interruptible(1):
        result_file.read(digits)
    assert stopped.value.code == os.EX_TEMPFAIL


def test_signals_are_noted_and_handlers_restored() -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    with noted_signals() as asked:
        assert asked == []
        signal.raise_signal(signal.SIGTERM)
        assert asked == [signal.SIGTERM]
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_a_training_stops_though_the_exception_was_discarded(
    settings_of: SettingsOf, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python discards what is raised in a callback of the garbage collector."""
    discarded: list[type[BaseException] | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: discarded.append(info.exc_type))

    def come(phase: str, info: dict[str, int]) -> None:
        gc.callbacks.remove(come)
        signal.raise_signal(signal.SIGALRM)

    with time_limit(1):
        gc.callbacks.append(come)
        gc.collect()
        assert discarded == [Interrupted]
        with pytest.raises(Interrupted, match="SIGALRM after epoch 1/5"):
            train(settings_of(epochs=4), digits, tmp_path, 5)
