"""Memory and open files of a process that trains for 500 epochs, or evaluates 400 times.

Each runs in a process of its own, which prints as it goes what malloc has given out and not got back
(mallinfo2 of the C library), its resident memory (/proc/self/statm), and the number of its open files
(/proc/self/fd). At first caches fill. From then on straight lines must rise by less than so many MiB in
all, and no file may stay open.

Large tensors come and go, what lies between them is not always in the same place, and the heap's top
rises now and then by half a MiB or a whole one, although nothing more is given out. Resident memory may
therefore rise by more. An evaluation's is measured again after all that is free has gone back to the
system (malloc_trim). A training's never is: what its small tensors once did was to leave gaps, 40 MiB
of them, and those trimming would hide.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rungs.jobs.train import train
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.runs import Run
from rungs.study.settings import evaluation_settings, resolve

#: share of the measurements that are warm-up, of epochs and of evaluations
WARM_EPOCHS, WARM_EVALUATIONS = 0.2, 0.5
#: MiB by which memory may rise after it
GROWTH_EPOCHS = {"given out": 1.0, "resident": 4.0}
GROWTH_EVALUATIONS = GROWTH_EPOCHS | {"trimmed": 1.0}
PROBE = """
import ctypes, json, os, sys
from pathlib import Path
import torch

names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

class Information(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

library = ctypes.CDLL("libc.so.6")
library.mallinfo2.restype = Information

def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20

def measured():
    found = library.mallinfo2()
    given = (found.uordblks + found.hblkhd) / 2**20
    return given, resident(), len(os.listdir("/proc/self/fd"))

found = []
settings, data, folder = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
"""
TRAINING = """
from rungs.jobs.train import train
from rungs.training.trainer import Trainer

run_epoch = Trainer.run_epoch

def counted(self):
    run_epoch(self)
    if self.epoch % 10 == 0:
        found.append(measured())

Trainer.run_epoch = counted
train(settings, data, folder, 1e-3)  # a checkpoint every 0.06 s: every epoch or two
print(json.dumps(found))
"""
EVALUATION = """
from rungs.evaluation.run import Inputs, evaluate
from rungs.models import entry

evaluation = json.loads(sys.argv[4])
classifier = Path(sys.argv[5]) if entry(settings["model"]).classifier else None
inputs = Inputs(folder, data, evaluation, classifier)
for number in range(400):
    evaluate(inputs, folder / "again")
    if number % 8 == 7:
        *memory, files = measured()
        library.malloc_trim(0)
        found.append((*memory, resident(), files))
print(json.dumps(found))
"""


def run(code: str, *arguments: Any) -> np.ndarray:
    """MiB given out, resident and, of evaluations, after trimming; open files, last: a row each."""
    texts = [a if isinstance(a, str) else json.dumps(a) for a in arguments]
    done = subprocess.run(
        [sys.executable, "-c", PROBE + code, *texts],
        capture_output=True,
        text=True,
        check=False,
        timeout=3000,
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def check(name: str, found: np.ndarray, warm: float, growth: dict[str, float]) -> None:
    *memory, files = found[int(warm * len(found)) :].T
    lines = [np.polyfit(np.arange(len(m)), m, 1)[0] * (len(m) - 1) for m in memory]
    told = [
        f"{what} {m[0]:.1f} to {m[-1]:.1f} MiB, line {line:+.2f}"
        for what, m, line in zip(growth, memory, lines, strict=True)
    ]
    print(f"\n{name}: {'; '.join(told)}; open files {files[0]:.0f} to {files[-1]:.0f}")
    assert all(line < most for line, most in zip(lines, growth.values(), strict=True))
    assert files[-1] <= files[0]


def settings_of(name: str, **training: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    config = configuration.load([ROOT / "config" / "smoke.yaml"])
    parsed = Run.parse(f"mnist5k/{name}/seed0")
    settings = resolve(config, parsed)
    settings["training"] |= training
    return settings, evaluation_settings(config, parsed)


@pytest.mark.parametrize("name", ["lvae-bn-wu/depth3", "vq/codes16"])
def test_500_epochs(name: str, digits: Path, tmp_path: Path) -> None:
    """With a checkpoint nearly every epoch, on a tenth of the images."""
    from rungs.data.prepared import Prepared
    from rungs.storage.result_file import read

    whole = read(digits)
    few = [
        whole[f"{split}/{kind}"][:400]
        for split in ("train", "test")
        for kind in ("images", "labels")
    ]
    data = tmp_path / "few.h5"
    Prepared(*few, {}).write(data)
    settings, _ = settings_of(name, epochs=500, batch_size=100)
    found = run(TRAINING, settings, str(data), str(tmp_path / "run"))
    check(f"{name}, 500 epochs", found, WARM_EPOCHS, GROWTH_EPOCHS)


@pytest.mark.parametrize("name", ["lvae-bn-wu/depth3", "gauss/latent2"])
def test_400_evaluations(name: str, digits: Path, tmp_path: Path) -> None:
    """Of one run in one process, every array of the evaluation computed and written each time."""
    from rungs.evaluation.classifier import train as train_classifier

    settings, evaluation = settings_of(name, epochs=1)
    judge = tmp_path / "classifier.safetensors"
    if name.startswith("gauss"):
        train_classifier(digits, judge)
    evaluation |= {"probe_latents": []}
    train(settings, digits, tmp_path / "run", 5)
    found = run(EVALUATION, settings, str(digits), str(tmp_path / "run"), evaluation, str(judge))
    check(f"{name}, 400 evaluations", found, WARM_EVALUATIONS, GROWTH_EVALUATIONS)
