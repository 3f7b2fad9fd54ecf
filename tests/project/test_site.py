"""The documentation site: it is built without a warning, its links lead somewhere, and it loads nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from rungs.paths import ROOT

pytest.importorskip("sphinx", reason="no sphinx: envs/dev.txt")
pytestmark = pytest.mark.slow
#: what the pages are made of, and what they link to
FOLDERS = ("docs", "src", "config", "workflow", "resources", "envs", "tests")
FILES = ("*.md", "*.cff", "LICENSE")


@dataclass
class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    anchors: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value}
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        if tag in ("script", "img", "link"):
            self.loaded |= {found[name] for name in ("src", "href") if name in found}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a copy of the repository, since the reference is generated among the sources."""
    clone = tmp_path_factory.mktemp("site") / "clone"
    clone.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "reference")
    for path in (path for pattern in (*FOLDERS, *FILES) for path in ROOT.glob(pattern)):
        if path.is_dir():
            shutil.copytree(path, clone / path.name, ignore=ignore)
        else:
            shutil.copy(path, clone)
    (clone / "results").mkdir()
    shutil.copy(ROOT / "results/README.md", clone / "results")
    makefile = (ROOT / "Makefile").read_text()
    (command,) = [line for line in makefile.splitlines() if "-m sphinx" in line]
    words = command.split()
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    return clone / words[-1]


def test_every_page_is_in_it(site: Path) -> None:
    written = [*ROOT.glob("*.md"), *(ROOT / "config").glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in written:
        assert (site / page.relative_to(ROOT).with_suffix(".html")).is_file(), page
    interface = (site / "docs/reference/rungs.api.html").read_text(encoding="utf-8")
    assert 'id="rungs.api.Trained.log_likelihood"' in interface
    for module in ("models.ladder", "probability.gaussian", "evaluation.likelihood"):
        assert (site / f"docs/reference/rungs.{module}.html").is_file()


def test_links_lead_somewhere_and_nothing_comes_from_elsewhere(site: Path) -> None:
    pages: dict[Path, Page] = {}
    for path in site.rglob("*.html"):
        pages[path] = Page()
        pages[path].feed(path.read_text(encoding="utf-8"))
    assert len(pages) > 50
    wrong = []
    for path, page in pages.items():
        assert not {link for link in page.loaded if urlsplit(link).netloc}, path
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file() or (
                anchor and target in pages and anchor not in pages[target].anchors
            ):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert not wrong
