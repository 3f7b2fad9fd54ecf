"""The environment of the workflow's jobs."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from rungs.paths import ROOT
from rungs.study.profile import CONFIG_VARIABLE


def prepare_environment(frozen_config: Path) -> None:
    """Set the variables by which jobs find the package, the interpreter and the configuration.

    They run the package beside the Snakefile with the interpreter that runs Snakemake, or that of a
    conda environment, which is activated later and so comes first. They read the configuration that the
    workflow was started with, even if it is edited later.

    They import nothing from the working folder, where a file of the user's may be called random.py or
    torch.py, and no warning is an error to them.

    An account of a container may have no name, which Snakemake writes down when it starts: its number does.

    The configuration's name reaches jobs through the environment: as a parameter of the rules
    it would rerun everything at every edit.
    """
    os.environ[CONFIG_VARIABLE] = str(frozen_config)
    os.environ["PYTHONSAFEPATH"] = "1"
    os.environ.pop("PYTHONWARNINGS", None)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())
    _prepend("PYTHONPATH", str(ROOT / "src"))
    _prepend("PATH", str(Path(sys.executable).parent))


def _prepend(variable: str, entry: str) -> None:
    entries = os.environ.get(variable, "").split(os.pathsep)
    os.environ[variable] = os.pathsep.join(dict.fromkeys([entry, *filter(None, entries)]))
