"""``rungs verify`` of a profile: sound results have no problems, and spoilt ones are named."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from conftest import copy_workflow, run_snakemake
from rungs.cli import main
from rungs.exchange.stored_configuration import configuration_of
from rungs.exchange.verification import verify_results
from rungs.storage import result_file

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


def spoil_table(root: Path) -> Path:
    path = root / "tables/loglik.csv"
    path.write_text(path.read_text().replace("mnist5k/vae/depth5", "mnist5k/vae/depth6"))
    return path


def spoil_weights(root: Path) -> Path:
    path = root / "runs/mnist5k/vae/depth5/seed0/weights.safetensors"
    path.write_bytes((root / "runs/mnist5k/lvae-bn-wu/depth5/seed0" / path.name).read_bytes())
    return path


def attribute(path: Path, name: str, change: Callable[[Any], Any]) -> Path:
    """Change an attribute of a stored file by a function of its value."""
    found = result_file.read(path)
    changed = found.attributes | {name: change(found.attributes[name])}
    result_file.write(path, found.arrays, changed)
    return path


def spoil_evaluation(root: Path) -> Path:
    path = root / "runs/mnist5k/vae/depth5/seed0/evaluation.h5"
    return attribute(path, "evaluation", lambda settings: settings | {"samples": 5000})


def spoil_origin(root: Path) -> Path:
    path = root / "runs/mnist5k/vae/depth5/seed0/training.h5"
    return attribute(path, "provenance", lambda _: {"commit": "1234"})


def spoil_calibration(root: Path) -> Path:
    path = root / "calibration.h5"
    return attribute(path, "calibration", lambda settings: settings | {"samples": 5000})


def spoil_seed(root: Path) -> Path:
    path = root / "calibration.h5"
    found = result_file.read(path)
    rest = {name: value for name, value in found.attributes.items() if name != "seed"}
    result_file.write(path, found.arrays, rest)
    return path


def swap_figure(root: Path) -> Path:
    """A sound picture of something else: only the crate can tell."""
    path = root / "figures/ladder_pca.png"
    path.write_bytes((root / "figures/ladder_loglik.png").read_bytes())
    return path


def _replace_in_crate(root: Path, pattern: str, new: str) -> Path:
    path = root / "ro-crate-metadata.json"
    text, count = re.subn(pattern, new, path.read_text())
    assert count
    path.write_text(text)
    return path


def spoil_commit(root: Path) -> Path:
    return _replace_in_crate(root, r", commit [^\"]+", ", commit 0123456789ab")


def spoil_machine(root: Path) -> Path:
    return _replace_in_crate(root, r"\.json, on [^\"]+", ".json, on Plan 9 mips")


def remove_figure(root: Path) -> Path:
    (root / "figures/ladder_pca.pdf").unlink()
    return root / "figures/ladder_pca.pdf"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_table, "no run of the profile"),
        (spoil_weights, "not those that the configuration resolves to"),
        (spoil_evaluation, "other settings"),
        (spoil_origin, "does not say its packages, machine, python"),
        (spoil_calibration, "other settings"),
        (spoil_seed, "does not say its seed"),
        (spoil_commit, "which it does not say"),
        (spoil_machine, "which it does not say"),
        (swap_figure, ""),
        (remove_figure, "is missing"),
    ],
)
def test_what_is_wrong_is_named(
    tiny_results: Path, spoil: Callable[[Path], Path], reason: str
) -> None:
    before = {p: p.read_bytes() for p in tiny_results.rglob("*") if p.is_file()}
    path = spoil(tiny_results)
    try:
        files, found = verify_results(configuration_of(tiny_results))
    finally:
        path.write_bytes(before[path])
    assert files > 50
    problems = {problem.path: problem.reason for problem in found}
    # the crate's checksum is the other witness, and the only one of what is drawn
    crate = problems.get("results/tiny/ro-crate-metadata.json", "")
    if reason:
        assert reason in problems.pop(str(path))
    else:
        assert f"lists figures/{path.name} with another checksum" in crate
    assert set(problems) <= {"results/tiny/ro-crate-metadata.json"}


def test_a_finished_profile_has_no_problems(
    tiny_results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(str(tiny_results)) == 0
    told = capsys.readouterr()
    assert re.search(r"results/tiny: \d\d+ files, 0 problems", told.out)
    assert told.err == ""
    assert verify(str(tiny_results / "runs/mnist5k/vae/depth5/seed0")) == 0


def verify(what: str) -> int | str | None:
    """The exit status of ``rungs verify``."""
    with pytest.raises(SystemExit) as status:
        main(["verify", what])
    return status.value.code
