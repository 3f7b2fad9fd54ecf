"""Draw docs/images/overview.png, the picture at the top of the README: samples, a latent plane, a curve.

Usage: ``python scripts/draw_overview.py``

The images are cut out of the galleries' figures; the curve is the table of L_100 in docs/results.md.
The file carries the numbers of the curve and the SHA-256 of the figures, and
``tests/project/test_prose.py`` compares them with the pages.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.image import imread
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rungs.figures.palettes import variant_styles
from rungs.figures.style import panels

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "overview.png"
RESULTS = ROOT / "docs" / "results.md"
#: figure -> rows and columns of its pixels that are shown
CUTS = {
    "docs/gallery/ladder_samples.png": ((46, 692), (732, 1378)),
    "docs/gallery-vae/vae_manifold.png": ((48, 1112), (124, 1194)),
}
TITLES = ("samples of a ladder VAE", "the latent plane of a VAE", r"test $L_{100}$, nats per image")
VARIANTS = ("vae-bn-wu", "lvae-bn-wu", "vae-bn", "vae")
COLOURS = 128


def curve() -> dict[str, list[float]]:
    """L_100 at depth 1 to 5 of each variant of the default profile, as docs/results.md has it."""
    text = RESULTS.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (L?VAE[+A-Z]*) \|((?: -[\d.]+ \|){5})", text, re.M)
    return {name: [float(number) for number in numbers.split(" |")[:5]] for name, numbers in rows}


def data() -> dict[str, Any]:
    """Everything that the picture shows."""
    cuts = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in CUTS}
    return {"curve": curve(), "figures": cuts}


def draw() -> None:
    """Write the picture."""
    figure, axes = panels(1, 3, {"width": 8.0, "panel_height": 2.85})
    for axis, title in zip(axes[0], TITLES, strict=True):
        axis.set_title(title, fontsize=9)
    for axis, (name, (rows, columns)) in zip(axes[0], CUTS.items(), strict=False):
        axis.imshow(imread(ROOT / name)[slice(*rows), slice(*columns)])
        axis.set_anchor("N")
        axis.set_axis_off()
    axis = axes[0][2]
    for variant, style in variant_styles(VARIANTS).items():
        label = variant.upper().replace("-", "+")
        values = curve()[label]
        axis.plot(range(1, 6), values, label=label, markersize=5, **style)
    axis.set(xlabel="stochastic layers", xticks=range(1, 6))
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 0.34))
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=200)
    plt.close(figure)
    text = PngInfo()
    text.add_text("Description", json.dumps(data(), sort_keys=True))
    small = Image.open(buffer).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(PICTURE, pnginfo=text, optimize=True)


if __name__ == "__main__":
    draw()
