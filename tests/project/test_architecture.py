"""The picture of the rooms in docs/architecture.md is that of the imports."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from rungs.paths import PACKAGE, ROOT

ROOMS = runpy.run_path(str(ROOT / "scripts" / "draw_rooms.py"))


def test_the_picture_is_that_of_the_imports() -> None:
    drawn = ROOMS["PICTURE"].read_text(encoding="utf-8")
    assert drawn == ROOMS["picture"](ROOMS["imports"]()), "draw it: python scripts/draw_rooms.py"


def test_every_room_is_drawn() -> None:
    modules = {path.stem for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert modules == {*ROOMS["rooms"](), "__init__", "__main__"}
    assert set(ROOMS["PURPOSES"]) == set(ROOMS["rooms"]())


@pytest.mark.parametrize(
    "line",
    [
        *("import rungs.models.vae", "from rungs.models import vae", "from rungs import models"),
        *("import numpy, rungs.models", "def f():\n    from rungs.models.vae import VAE"),
        "if TYPE_CHECKING:\n    from rungs.models.protocol import Objective",
    ],
)
def test_every_kind_of_import_is_seen(line: str, tmp_path: Path) -> None:
    for name, text in {"data/own.py": line, "models/vae.py": "import rungs.models.single"}.items():
        path = tmp_path / "rungs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    graph = ROOMS["imports"](tmp_path / "rungs")
    assert graph["data"] == ["models"]
    assert graph["models"] == []
    drawn = ROOMS["picture"](graph)
    assert drawn.count("#c0392b") == 2, "an import that runs up is a red line with a red head"
