"""README and docs: what they name exists, their links lead somewhere, their commands parse."""

from __future__ import annotations

import ast
import json
import re
import runpy
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from PIL import Image

from rungs.cli import cli
from rungs.paths import PACKAGE, ROOT

MOST_WORDS = 900
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / name / "README.md" for name in ("config", "resources", "results")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
#: folders of the repository, by which a path is known as one
FOLDERS = "src|tests|scripts|config|docs|workflow|envs|resources|profiles"
ROOMS = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()]


def test_the_readme_is_short() -> None:
    words = len((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert words <= MOST_WORDS, f"README.md has {words} words, at most {MOST_WORDS}"


# --- links ---------------------------------------------------------------------------------------


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


@cache
def anchors(page: Path) -> set[str]:
    """The names by which code hosts let a link point at a page's headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.M)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    for link in links:
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no such file"
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), f"{link}: there is no such heading"


def test_every_page_is_linked() -> None:
    """From the README, by way of other pages."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            links = re.findall(r"\]\(([^)\s#]+\.md)", page.read_text(encoding="utf-8"))
            waiting += [(page.parent / link).resolve() for link in links if ":" not in link]
    assert {*PAGES} <= reached, f"no link leads to {sorted({*PAGES} - reached)}"


# --- commands ------------------------------------------------------------------------------------


def command_lines(page: Path) -> Iterator[str]:
    """The ``rungs ...`` commands of a page's code blocks, without prompts, pipes and comments."""
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines() if language == "sh" else ():
            text = re.split(r"\s[#|>&]|\s->", re.sub(r"^(\w+=\S+ )+", "", line))[0]
            if text.startswith("rungs "):
                yield text


@each_page
def test_commands_parse(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    created = re.findall(r"config/mine\.yaml", page.read_text(encoding="utf-8"))
    for line in command_lines(page):
        words = shlex.split(line)[1:]
        if created:  # a profile that the page itself tells to write
            words = [word.replace("config/mine.yaml", "config/quick.yaml") for word in words]
        command: click.Command = cli
        while isinstance(command, click.Group):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        try:
            command.make_context("x", words)
        except click.UsageError as error:
            pytest.fail(f"{line}: {error.message}")


@each_page
def test_verbs_and_options_in_sentences_exist(page: Path) -> None:
    for text in re.findall(r"`rungs ([^`\n]+)`", page.read_text(encoding="utf-8")):
        words = text.split()
        command: click.Command = cli
        while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z]+", words[0]):
            assert words[0] in command.commands, f"rungs {text}"
            command = command.commands[words.pop(0)]
        options = {opt for parameter in command.params for opt in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= options, f"rungs {text}"


@each_page
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`make ([\w-]+)[^`]*`", text)
    named += re.findall(
        r"^make ([\w-]+)", "\n".join(block for _, block in FENCE.findall(text)), re.M
    )
    assert set(named) <= targets


# --- names ---------------------------------------------------------------------------------------


@cache
def names_of(module: Path) -> set[str]:
    """What a module or its classes define, and what it imports."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def exists(dotted: str) -> bool:
    """Whether ``rungs.a.b`` is a module of the package, or a name in one."""
    parts = dotted.split(".")
    path = ROOT / "src"
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    if parts and (path / f"{parts[0]}.py").is_file():
        path /= f"{parts.pop(0)}.py"
    else:
        path /= "__init__.py"
    names = names_of(path) | set(re.findall(r'"(\w+)"', path.read_text(encoding="utf-8")))
    return not parts or parts[0] in names


@each_page
def test_modules_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    made = set(re.findall(r"^```\w+ file=(\S+)", text, re.M)) | {"config/mine.yaml"}
    prose = FENCE.sub("", text)
    for dotted in re.findall(r"(?<![\w/])rungs(?!\.yaml)(?:\.[A-Za-z_]\w*)+", prose):
        assert exists(dotted), f"{dotted} is not in the package"
    for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", prose):
        assert name in made or (ROOT / name).exists(), f"{name} does not exist"
    for name in re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w./-]*)`", prose):
        assert (PACKAGE / name).exists(), f"src/rungs/{name} does not exist"


def test_a_name_that_is_not_there_is_noticed() -> None:
    assert exists("rungs.models.ladder")
    assert exists("rungs.models.ladder.LadderVAE")
    assert exists("rungs.load")
    assert not exists("rungs.models.ladders")
    assert not exists("rungs.models.ladder.LadderVAEs")


# --- the picture of the README -------------------------------------------------------------------


def test_the_picture_shows_the_numbers_of_the_results() -> None:
    overview = runpy.run_path(str(ROOT / "scripts" / "draw_overview.py"))
    shown = json.loads(Image.open(overview["PICTURE"]).text["Description"])  # type: ignore[attr-defined]
    assert shown == overview["data"](), "draw it again: python scripts/draw_overview.py"
    assert len(shown["curve"]) == len(overview["VARIANTS"])
