"""A small profile on a real Slurm of one node, disturbed, against the same profile run locally."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
import slurm_cluster
from small_profile import assert_same_results, quiet_results, run_disturbed

from conftest import copy_workflow


def test_a_disturbed_cluster_gives_the_bytes_of_a_quiet_workstation(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """One running job goes back to the queue, one is killed on the node; packs of two runs and
    split likelihoods there, none of either here."""
    with slurm_cluster.started(tmp_path_factory.mktemp("slurm"), ["node"], os.cpu_count() or 1):
        expected = quiet_results()
        folder = copy_workflow(tmp_path)
        run_disturbed(
            folder,
            *("SLURM_JOB_ID", slurm_cluster.requeue, psutil.Process.kill),
            *slurm_cluster.SUBMISSION,
        )
        assert_same_results(folder, expected)
