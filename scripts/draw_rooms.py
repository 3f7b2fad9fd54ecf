"""Draw the rooms of the package and the imports between them into docs/images/rooms.svg.

Usage: ``python scripts/draw_rooms.py``

A room is a folder of ``src/rungs``, or one of its modules that lies in no folder. The picture is a
staircase: a room's line leaves its name, turns down, and has an arrowhead in the row of every room that
it imports. An import that runs up is drawn in red, above the turn.
``tests/project/test_architecture.py`` draws the picture again and compares.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from rungs.paths import PACKAGE, ROOT
from rungs.study.keys import COMPUTING

PICTURE = ROOT / "docs" / "images" / "rooms.svg"
#: room -> what lies in it, in a few words
PURPOSES = {
    "errors": "what a user can mend, in one line",
    "paths": "where the repository lies, and its version",
    "numerics": "seeds, torch set-up, custom operations",
    "storage": "complete files, locks, HDF5, tensors",
    "probability": "densities, divergences, likelihoods",
    "data": "data sets: sources, preparation, binarisation",
    "models": "networks, objectives, priors, one module a family",
    "study": "profiles, runs, settings, file names, keys",
    "training": "trainer, loop, optimiser, schedules, history",
    "evaluation": "L_k, active units, moments, probes, samples",
    "claims": "the sources' claims, one module a source",
    "tables": "one module a table",
    "figures": "one module a figure; the style they share",
    "jobs": "what a job does: train, evaluate, packs, cost",
    "exchange": "archives, verification, RO-Crate",
    "report": "report, scorecard, summary, gallery",
    "bench": "speed beside the machine's limits",
    "api": "rungs.load and the rest of the Python interface",
    "cli": "rungs VERB",
}
LEGEND = (
    "Follow a room's line: it has an arrowhead in the row of every room that it imports.",
    "Blue: the code of these rooms is in the key of a run.",
)
ROW, LANE, LEFT, TOP, RIGHT = 30, 25, 425, 12, 24
COLOURS = {True: "#0b6ea8", False: "#7a7a7a"}


def rooms() -> list[str]:
    """The rooms, bottom first: the layers of the contract in pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name for layer in reversed(layers) for name in layer.split(" | ")]
    return [name for name in names if name != "__main__"]


def room(parts: tuple[str, ...]) -> str | None:
    """The room of a module ``("rungs", ...)``; None of the package's ``__init__`` and ``__main__``."""
    return parts[1] if len(parts) > 1 and parts[1] in PURPOSES else None


def imported(tree: ast.Module) -> Iterator[tuple[str, ...]]:
    """The modules of the package that a syntax tree imports, anywhere in it."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "rungs":
            names = [f"rungs.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from (tuple(name.split(".")) for name in names if name.startswith("rungs."))


def imports(package: Path = PACKAGE) -> dict[str, list[str]]:
    """Of every room the rooms that it imports, bottom first."""
    found: dict[str, set[str]] = {name: set() for name in rooms()}
    for path in sorted(package.rglob("*.py")):
        own = room(path.relative_to(package.parent).with_suffix("").parts)
        if own is not None:
            for parts in imported(ast.parse(path.read_text(encoding="utf-8"))):
                other = room(parts)
                if other not in (None, own):
                    found[own].add(str(other))
    return {name: [other for other in found if other in found[name]] for name in found}


def picture(graph: dict[str, list[str]]) -> str:
    """The staircase of ``room -> imported rooms``, bottom first, as SVG."""
    rows = list(reversed(graph))
    height = TOP + ROW * len(rows) + 80
    width = LEFT + LANE * len(rows) + RIGHT
    y = {name: TOP + ROW * number + ROW // 2 for number, name in enumerate(rows)}
    x = {name: LEFT + LANE * (len(rows) - number) for number, name in enumerate(rows)}
    bottom = TOP + ROW * len(rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="Helvetica, Arial, sans-serif" font-size="12">',
        "<title>The rooms of rungs and the imports between them</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    lines += [
        f'<rect x="10" y="{top}" width="{width - 20}" height="{ROW}" fill="#f5f5f3"/>'
        for top in range(TOP, bottom, 2 * ROW)
    ]
    for name in rows:
        colour = COLOURS[name in COMPUTING]
        lines += [
            f'<rect x="16" y="{y[name] - 12}" width="86" height="24" rx="4" fill="{colour}"/>',
            f'<text x="59" y="{y[name] + 4}" text-anchor="middle" font-weight="bold" '
            f'fill="white">{name}</text>',
            f'<text x="112" y="{y[name] + 4}" fill="#222222">{PURPOSES[name]}</text>',
            *_lane(name, graph[name], x[name], y, colour),
        ]
        if graph[name]:
            lines.append(
                f'<text transform="translate({x[name] - 4} {bottom + 14}) rotate(60)" '
                f'fill="{colour}" font-size="11">{name}</text>'
            )
    lines += [
        f'<text x="16" y="{bottom + 24 + 18 * number}" fill="#222222">{text}</text>'
        for number, text in enumerate(LEGEND)
    ]
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _lane(name: str, others: list[str], x: int, y: dict[str, int], colour: str) -> Iterator[str]:
    """The line of a room, and its arrowheads."""
    if not others:
        return
    here = y[name]
    low, high = max(y[o] for o in others), min(y[o] for o in others)
    yield (
        f'<path d="M{LEFT - 8} {here} H{x} V{max(low, here)}" fill="none" stroke="{colour}" '
        'stroke-width="1.6"/>'
    )
    if high < here:
        yield f'<path d="M{x} {here} V{high}" fill="none" stroke="#c0392b" stroke-width="2"/>'
    for other in others:
        if y[other] > here:
            yield f'<path d="M{x - 5} {y[other] - 5} h10 l-5 9 z" fill="{colour}"/>'
        else:
            yield f'<path d="M{x - 5} {y[other] + 5} h10 l-5 -9 z" fill="#c0392b"/>'


if __name__ == "__main__":
    PICTURE.write_text(picture(imports()), encoding="utf-8")
