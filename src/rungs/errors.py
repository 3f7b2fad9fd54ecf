"""Mistakes that the user can mend."""

from __future__ import annotations


class RungsError(Exception):
    """A mistake in configuration, data or environment, told without a traceback.

    Its message names the file, key or run, what was expected, what was found and
    what to do about it. The command line prints it and exits with status 1.
    """


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
