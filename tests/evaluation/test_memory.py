"""The memory of large images is known beforehand: labelled images of 128x128x3, from data to evaluation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rungs.evaluation import principal_components
from rungs.evaluation.logistic_regression import classify
from rungs.evaluation.principal_components import SMALL

PROFILE = """
profile: big
datasets:
  big: {images: big.npz, array: x, labels: y}
experiments:
  mixture: [{datasets: [big], variants: [gauss], latents: [10], seeds: [0]}]
network: {hidden_sizes: [8]}
training: {epochs: 1, batch_size: 20}
evaluation: {samples: 2, images: 12, train_images: 40, unit_samples: 2, chunk_rows: 200}
"""
#: all stages, and what they would do more often on more images
STAGES = """
import json
from pathlib import Path
from rungs.data import catalogue, prepare
from rungs.evaluation import classifier, probe
from rungs.jobs import cost, work
from rungs.study import identity, profile
from rungs.study.layout import EVALUATION, Layout
from rungs.study.runs import all_runs

classifier.STEPS, probe.STEPS, probe.MOST_DRAWS, probe.SOME_DRAWS = 1, 1, 1, 1

def peak():
    # ru_maxrss would start with that of the process that started this one
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

config = profile.load(["big.yaml"])
data, (run,) = catalogue(config)["big"], all_runs(config)
made = prepare("big", None, Path("cache"), config)
made.write(Layout.data("big"), identity.data_source(config, "big"))
found = {"prepare": [peak(), cost.preparation_mb(data)]}
classifier.train(Path(Layout.data("big")), Path(Layout.classifier("big")))
found["classifier"] = [peak(), cost.classifier_mb(data)]
folder = Path(Layout("big").run(run))
work.train_runs(config, {run: folder})
work.evaluate_run(config, run, folder)
found["evaluate"] = [peak(), cost.estimate(config, run).memory_mb]
print(json.dumps(found))
"""


def test_no_stage_takes_more_than_is_known_beforehand(tmp_path: Path) -> None:
    """The covariance of the probe's principal components alone would take 18 GiB."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 128, 128, 3), dtype=np.uint8)
    np.savez(tmp_path / "big.npz", x=images, y=np.arange(60) % 3)
    (tmp_path / "big.yaml").write_text(PROFILE)
    done = subprocess.run(
        [sys.executable, "-c", STAGES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    so_far = 0.0
    for stage, (peak, known) in found.items():
        so_far = max(
            so_far, known
        )  # all in one process: what a stage has taken counts for the next
        assert peak < so_far, (stage, found)
    assert found["evaluate"][1] < 2000


def test_large_images_are_classified_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    y = np.arange(12) % 3
    x = (random.standard_normal((12, SMALL + 1)) + 0.2 * y[:, None]).astype(np.float32)
    query = (x + random.standard_normal(x.shape)).astype(np.float32)
    found = classify(x, y, query)
    assert (found == y).mean() > 0.5
    monkeypatch.setattr(principal_components, "BLOCK_VALUES", 5 * SMALL)
    assert len(list(principal_components.row_blocks(query))) == 3
    np.testing.assert_array_equal(classify(x, y, query), found)
    np.testing.assert_array_equal(classify(x.astype(np.float64), y, query), found)
