"""The image files of a folder and of the folders in it, and what is left out.

Linked folders are entered as others are, under the name of the link, but for those that lead back.
Folders that look like splits are found, so that training and test images are not mixed unasked.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rungs.errors import DataError

#: suffixes of files that count as images
SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".mpo", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
        *(".pgm", ".pbm", ".ppm"),
    }
)
#: words in the names of folders of training images, and of others
TRAINING = frozenset({"train", "training", "trainset", "traindata"})
TESTING = frozenset(
    {
        *("test", "testing", "testset", "testdata", "val", "valid", "validation", "valset"),
        *("dev", "eval", "evaluation"),
    }
)
#: levels of folders that are searched for splits
LEVELS = 3
#: suffixes that a note names
NAMED = 5


@dataclass
class Listing:
    """The image files of a folder, in the order of their paths, and the number of other entries.

    Attributes:
        left_out: how many of a kind.
        suffixes: those of files that are no images.
    """

    files: list[os.DirEntry[str]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    suffixes: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, root: Path) -> Listing:
        """Search a folder.

        Raises:
            DataError: if a folder cannot be read.
        """
        found = cls()
        here = root.resolve()
        entered = {_identity(place.stat()) for place in (here, *here.parents)}
        # no recursion: folders may nest deeper than Python's stack
        waiting: list[tuple[str, bool]] = [(os.fspath(root), False)]
        links: list[str] = []
        while waiting or links:
            if not waiting:  # links come after all folders, which keep their own names
                links.sort(key=os.fsencode)
                waiting.append((links.pop(0), True))
            folder, linked = waiting.pop()
            try:
                if linked and not found._enter(folder, entered):
                    continue
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if not found._add(entry):
                            continue
                        if entry.is_symlink():
                            links.append(entry.path)
                        else:
                            waiting.append((entry.path, linked))
                            if not linked:
                                entered.add(_identity(entry.stat()))
            except OSError as error:
                raise DataError(
                    f"{error.filename or folder}: cannot be read ({error.strerror}); mend its permissions, "
                    "or remove it."
                ) from error
        found.files.sort(key=lambda entry: os.fsencode(entry.path))
        return found

    def _enter(self, folder: str, entered: set[tuple[int, int]]) -> bool:
        """Whether a folder was not entered before, by another name."""
        identity = _identity(Path(folder).stat())
        if identity in entered:
            self.left_out["links that lead back"] += 1
            return False
        entered.add(identity)
        return True

    def _add(self, entry: os.DirEntry[str]) -> bool:
        """Take an image file, count what is left out; return whether the entry is a folder to enter."""
        suffix = Path(entry.name).suffix.lower()
        if entry.name.startswith("."):
            self.left_out["hidden files and folders"] += 1
        elif entry.is_dir():
            return True
        elif entry.is_file() and suffix in SUFFIXES:
            self.files.append(entry)
        elif entry.is_symlink() and not Path(entry.path).exists():
            self.left_out["links to nothing"] += 1
        elif entry.is_file():
            self.left_out["files with other suffixes"] += 1
            self.suffixes.add(suffix or "none")
        else:
            self.left_out["special files"] += 1
        return False

    def note(self) -> str | None:
        """What is left out, with its count; None if nothing is."""
        parts = [f"{count} {kind}" for kind, count in sorted(self.left_out.items())]
        if not parts:
            return None
        named = sorted(self.suffixes)[:NAMED]
        more = ", ..." if len(self.suffixes) > NAMED else ""
        return f"left out: {', '.join(parts)}" + (f" ({', '.join(named)}{more})" if named else "")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def splits(relative: Iterable[tuple[str, ...]]) -> list[tuple[tuple[str, ...], str, str]]:
    """Pairs of folders beside each other that look like training and test images: where they lie, and
    their names.

    Args:
        relative: the parts of every image's path.

    Example:
        >>> splits([("images_train", "a", "1.png"), ("images_val", "a", "1.png"), ("b", "1.png")])
        [((), 'images_train', 'images_val')]
        >>> splits([("train", "1.png"), ("tram", "1.png")])
        []
    """
    folders = {
        parts[:depth] for parts in relative for depth in range(1, min(len(parts), LEVELS + 1))
    }
    beside: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for folder in sorted(folders):
        beside[folder[:-1]].append(folder[-1])
    found = []
    for place, names in beside.items():
        training = [name for name in names if _words(name) & TRAINING]
        testing = [name for name in names if _words(name) & TESTING]
        testing.sort(key=lambda name: "test" not in name.lower())
        if training and testing and {*training, *testing} != {training[0]}:
            found.append((place, training[0], testing[0]))
    return found


def _words(name: str) -> set[str]:
    """The words of a name, ``imagesTrain`` and ``images_train`` alike."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
