"""The benchmark's instruments; no test depends on how long something takes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rungs import bench
from rungs.bench import Scale
from rungs.bench.data import settings_of
from rungs.bench.likelihood import reduced_precision
from rungs.bench.timing import Products, in_turns
from rungs.bench.training import step_of
from rungs.training.trainer import Trainer

TINY = Scale(repetitions=2, share=0.01)


def test_turns_alternate_and_the_first_does_not_count() -> None:
    order: list[str] = []
    seconds = in_turns({n: lambda n=n: order.append(n) for n in "ab"}, 3)  # type: ignore[misc]
    assert "".join(order) == "abababab"
    assert {name: len(found) for name, found in seconds.items()} == {"a": 3, "b": 3}


def test_products_are_those_of_the_work() -> None:
    """A step of a VAE multiplies every weight three times, but for the images' gradient."""
    images = torch.randint(0, 256, (64, 784), dtype=torch.uint8)
    trainer = Trainer(settings_of("vae", 1, batch_size=32, epochs=9), images, "cpu")
    products = Products(step_of(trainer))
    weights = sum(p.numel() for p in trainer.model.parameters() if p.dim() == 2)
    assert products.operations == 32 * (6 * weights - 2 * 784 * 512)
    products()


@pytest.mark.parametrize("name", ["limits", "startup"])
def test_small_benchmarks(name: str) -> None:
    table = bench.run([name], TINY).table()
    assert (table["value"] > 0).all()


def test_training_and_likelihood_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNGS_RAW_DATA", raising=False)
    table = bench.run(["training"], TINY).table()
    peer = importlib.util.find_spec("pythae") is not None
    assert set(table["subject"]) >= {"ours, float32", "limit, float32"}
    assert ("pythae" in set(table["subject"])) == peer


def test_reduced_precision_stays_within_what_the_documentation_says() -> None:
    """L_k with products rounded to bfloat16, on the same samples: 0.02 nats in the mean over images
    and 0.05 in its spread is what may be lost."""
    random = torch.Generator().manual_seed(0)
    images = (255 * (torch.rand(512, 784, generator=random) < 0.2)).to(torch.uint8)
    trainer = Trainer(settings_of("vae", 1, batch_size=64, epochs=3), images, "cpu")
    for _ in range(3):
        trainer.run_epoch()
    trainer.finish()
    rows = reduced_precision(trainer.model, images[:40].float() / 255, Scale(share=1.0))
    shifts = {row.subject: row for row in rows}
    assert abs(shifts["float32"].value) < 1e-3
    assert abs(shifts["bfloat16"].value) < 0.02
    assert float(shifts["bfloat16"].note.split()[1]) < 0.05


def test_figures_and_tables_need_no_torch() -> None:
    code = (
        "import sys, importlib, rungs.cli\n"
        "from rungs.figures import FIGURES\n"
        "from rungs.tables import TABLES\n"
        "for entry in (*FIGURES.values(), *TABLES.values()):\n"
        "    importlib.import_module(entry.module)\n"
        "print([m for m in ('torch', 'torchvision') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert found.stdout.strip() == "[]"


def test_scaling_fits_exponents() -> None:
    rows = bench.run(["scaling"], TINY).table()
    assert rows["note"].str.match(r"exponent -?\d").all()
    assert np.isfinite(rows["value"]).all()
    assert Path(bench.__file__).is_file()
