"""A profile with other seeds."""

from __future__ import annotations

from pathlib import Path

import yaml

from rungs.report.seeds import with_seeds
from rungs.study.profile import load
from rungs.study.runs import runs

PROFILE = """
profile: small
experiments:
  ladder:
    - {datasets: [mnist5k], variants: [vae, vae-bn], depths: [5], seeds: [0, 1, 2]}
    - {datasets: [mnist5k], variants: [lvae], depths: [1, 2], seeds: [0]}
  mixture:
    - {datasets: [mnist5k], variants: [gauss], latents: [2], seeds: [0]}
"""


def test_grids_with_too_few_seeds_are_left_out(tmp_path: Path) -> None:
    base, overlay = tmp_path / "small.yaml", tmp_path / "overlay.yaml"
    base.write_text(PROFILE)
    other = with_seeds(load([base]), [3, 4, 5])
    assert {(run.variant, run.seed) for run in runs(other)} == {
        (variant, seed) for variant in ("vae", "vae-bn") for seed in (3, 4, 5)
    }
    # what `rungs claims --seeds` writes is laid over the profile, and says the same
    part = {name: other[name] for name in ("profile", "experiments")}
    overlay.write_text(yaml.safe_dump(part))
    assert runs(load([base, overlay])) == runs(other)


def test_a_profile_of_single_seeds_keeps_all_runs(tmp_path: Path) -> None:
    base = tmp_path / "small.yaml"
    base.write_text(PROFILE.replace("[0, 1, 2]", "[0]"))
    other = with_seeds(load([base]), [7])
    assert len(runs(other)) == len(runs(load([base])))
    assert {run.seed for run in runs(other)} == {7}
