"""The notebooks: they run, and their kept outputs are whole, small and of no particular machine."""

from __future__ import annotations

import base64
import contextlib
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

import rungs
from rungs.paths import PACKAGE, ROOT

nbclient = pytest.importorskip("nbclient", reason="no nbclient: envs/dev.txt")
pytest.importorskip("ipykernel", reason="no ipykernel: envs/dev.txt")
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MOST_PICTURE_BYTES = 60_000
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def printed(notebook: Any) -> str:
    """What the cells have printed and shown as text."""
    parts = [
        output["text"] if output.output_type == "stream" else output["data"].get("text/plain", "")
        for output in outputs(notebook)
    ]
    return "\n".join(parts)


@each_notebook
def test_kept_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "execute it: jupyter execute --inplace"
    kinds = {output.output_type for output in outputs(notebook)}
    assert kinds <= {"stream", "display_data", "execute_result"}
    pictures = [
        output["data"]["image/png"]
        for output in outputs(notebook)
        if "image/png" in output.get("data", {})
    ]
    assert pictures
    for picture in pictures:
        assert len(base64.b64decode(picture)) < MOST_PICTURE_BYTES
    assert not re.search(r"(?<![\w.])/(home|root|tmp|usr|opt|work|Users)/", printed(notebook))


@each_notebook
def test_notebooks_run(path: Path, tmp_path: Path, smoke_config: dict[str, Any]) -> None:
    """In a kernel of their own, from the folder that they lie in, with outputs of the kinds that are kept."""
    folder = tmp_path / "docs" / "notebooks"
    for new in (folder, tmp_path / "results"):
        new.mkdir(parents=True)
    kept = nbformat.read(path, as_version=4)
    notebook = nbformat.read(path, as_version=4)
    if path.stem == "look":  # the run that it loads, smaller
        with contextlib.chdir(tmp_path):
            rungs.train("gauss", "mnist5k", latent=2, epochs=1, config=smoke_config)
    for cell in code_cells(notebook):  # no more than a test needs
        cell.source = cell.source.replace("epochs=5", "epochs=1")
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
    )
    # figures are shown by the kernel's own back-end
    own = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    client.execute(env=own | {"PYTHONPATH": str(PACKAGE.parent)})
    for cell, other in zip(code_cells(notebook), code_cells(kept), strict=True):
        assert {o.output_type for o in cell.outputs} == {o.output_type for o in other.outputs}
    numbers = re.compile(r"-?\d+(\.\d+)?")
    if path.stem == "look":
        bounds = re.findall(r"L_\d+ = (-[\d.]+) nats over 10 test images", printed(notebook))
        assert len(bounds) == 3
        assert numbers.sub("n", printed(notebook).splitlines()[-1]) == numbers.sub(
            "n", printed(kept).splitlines()[-1]
        )
    else:
        for found in (notebook, kept):  # the last state of the bar
            assert re.search(r"beta4/latent10/seed0  epoch (\d+)/\1  ELBO -", printed(found))
