"""The paths of results."""

from __future__ import annotations

from typing import Any

from rungs.study.layout import Layout
from rungs.study.runs import Run


def test_there_are_no_more_shards_than_blocks(smoke_config: dict[str, Any]) -> None:
    """100 test images are two blocks."""
    run = Run("mnist5k", "vae", 2, 0)
    for asked, there in ((1, 0), (2, 2), (1000, 2)):
        config = smoke_config | {"compute": smoke_config["compute"] | {"shards": asked}}
        assert len(Layout("smoke").shards(config, run)) == there
