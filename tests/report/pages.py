"""A reader of pages, for tests of what they say and link."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

#: elements that have no end tag
VOID = {"meta", "img", "input", "br", "link", "line", "rect", "circle", "path", "wbr"}


@dataclass
class Read(HTMLParser):
    """A page that was read: its anchors, its links, its text."""

    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    text: str = ""
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if "href" in found else []
        self.sources += [found["src"] or ""] if "src" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data


def read(html: str) -> Read:
    found = Read()
    found.feed(html)
    found.close()
    assert not found.open
    found.text = " ".join(found.text.split())
    return found
