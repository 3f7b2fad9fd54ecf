"""Mistakes that the user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: characters of a message
LONGEST = 2000
#: names that a message lists where none is near
LISTED = 40


class RungsError(Exception):
    """A mistake in configuration, data or environment, told without a traceback.

    Its message names the file, key or run, what was expected, what was found and
    what to do about it. The command line prints it and exits with status 1.

    It is one line of printable characters, whatever names and library messages went into it: a file
    may be called what it likes, and a log or a terminal shows it.

    >>> str(RungsError("new\\nline.png: cannot be read"))
    'new\\\\nline.png: cannot be read'
    """

    def __init__(self, message: object) -> None:
        text = str(message)
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]} ..."
        super().__init__(printable(text))


def printable(text: str) -> str:
    """A text on one line of printable characters, the others escaped."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class ConfigError(RungsError):
    """A configuration that cannot be used; the message names the key."""


class DataError(RungsError):
    """A data file that is missing, corrupt or of the wrong shape; the message names it."""


class AbsentDataError(DataError):
    """A data file that is not there, under none of its names; the message says where it belongs."""


class StoreError(RungsError):
    """A results file that is missing, incomplete or not of the expected layout."""


class ArchiveError(StoreError):
    """An archive of a run that is damaged, incomplete or not one; the message names it."""


class TrainingError(RungsError):
    """A run that cannot go on, for example because its loss is not finite."""


def check_known(name: str, valid: Iterable[str], key: str, kind: str) -> None:
    """Check a name that a configuration gives.

    Args:
        valid: the names that there are.
        key: the configuration's key that holds the name.
        kind: what the name is one of, for example ``variant``.

    Raises:
        ConfigError: if the name is not valid; it suggests the nearest that is.
    """
    if name not in valid:
        raise ConfigError(
            f"configuration key {key}: {kind} {name!r} is not known{nearest(name, valid)}"
        )


def nearest(name: str, valid: Iterable[str]) -> str:
    """The end of a sentence that offers the valid name nearest to ``name``.

    >>> nearest("vea", ["vae", "lvae"])
    "; did you mean 'vae'?"
    """
    valid = sorted(map(str, valid))
    close = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    more = f" and {len(valid) - LISTED} more" if len(valid) > LISTED else ""
    return f"; known are {', '.join(valid[:LISTED])}{more}."
