"""``rungs verify``: results that are sound have no problems."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from conftest import copy_workflow, run_snakemake

#: images without classes, whose samples no classifier can compare
UNLABELLED = {
    "profile": "unlabelled",
    "datasets": {"mine": {"images": "pictures", "size": [12, 12]}},
    "experiments": {
        "ladder": [{"datasets": ["mine"], "variants": ["vae"], "depths": [2], "seeds": [0]}],
        "mixture": [
            {"datasets": ["mine"], "variants": ["gauss", "vaegan"], "latents": [2], "seeds": [0]}
        ],
        "vae": [{"datasets": ["mine"], "variants": ["ae"], "latents": [2], "seeds": [0]}],
    },
    "network": {"hidden_sizes": [16, 8], "latent_sizes": [4, 2]},
    "training": {"epochs": 1, "warm_up_epochs": 1},
    "evaluation": {"samples": 10, "images": 20, "train_images": 40, "unit_samples": 2},
    "calibration": {"images": 20, "samples": 10},
}


def test_a_profile_of_unlabelled_images_has_no_problems(tmp_path: Path) -> None:
    clone = copy_workflow(tmp_path)
    (clone / "pictures").mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (60, 12, 12))):
        Image.fromarray(image.astype(np.uint8)).save(clone / "pictures" / f"{number}.png")
    (clone / "mine.yaml").write_text(yaml.safe_dump(UNLABELLED))
    made = run_snakemake(clone, "all", "--configfile", "mine.yaml")
    assert made.returncode == 0, made.stdout + made.stderr
    done = subprocess.run(
        [sys.executable, "-m", "rungs", "verify", "results/unlabelled", "--json"],
        cwd=clone,
        env={"PYTHONPATH": "src", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    assert found["problems"] == [], done.stderr
    assert found["files"] > 50
    assert done.returncode == 0
