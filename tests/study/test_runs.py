"""Runs: their paths, and which of them a configuration asks for."""

from __future__ import annotations

import pytest

from rungs.errors import ConfigError
from rungs.study.runs import Run


@pytest.mark.parametrize("path", ["", "mnist5k/vae", "../x/depth1/seed0", "a/b/depth-1/seed0"])
def test_a_wrong_run_is_named(path: str) -> None:
    with pytest.raises(ConfigError, match="expected dataset/variant"):
        Run.parse(path)
