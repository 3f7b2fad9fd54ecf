"""Mistakes that the user can mend."""

from __future__ import annotations

#: characters of a message
LONGEST = 2000


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
        super().__init__("".join(c if c.isprintable() else _escaped(c) for c in text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class ConfigError(RungsError):
    """A configuration that cannot be used; the message names the key."""


class DataError(RungsError):
    """A data file that is missing, corrupt or of the wrong shape; the message names it."""


class StoreError(RungsError):
    """A results file that is missing, incomplete or not of the expected layout."""


class ArchiveError(StoreError):
    """An archive of a run that is damaged, incomplete or not one; the message names it."""


class TrainingError(RungsError):
    """A run that cannot go on, for example because its loss is not finite."""
