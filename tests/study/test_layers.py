"""Configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from rungs.errors import ConfigError
from rungs.study.layers import read_file


def test_a_key_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("profile: a\nnetwork: {batch_norm: true}\nnetwork: {upward: mu}\n")
    with pytest.raises(ConfigError, match="'network' is there twice"):
        read_file(path)
