"""A plugin of Snakemake, ``--logger rungs``: a line for each job instead of a paragraph.

Snakemake finds it by the name of this package. What it prints is decided in :mod:`rungs.jobs.screen`.
"""

from __future__ import annotations

import sys
from io import StringIO
from logging import WARNING, LogRecord
from typing import TYPE_CHECKING, TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase

if TYPE_CHECKING:
    from rungs.jobs.screen import Screen

__all__ = ["LogHandler"]


class LogHandler(LogHandlerBase):
    """The handler that writes to the terminal; Snakemake's own log file stays complete."""

    def __post_init__(self) -> None:
        self._stream: TextIO = sys.stdout if self.common_settings.stdout else sys.stderr
        self._screen: Screen | None = None

    def emit(self, record: LogRecord) -> None:
        """Print the line of a record, if it has one."""
        try:
            text = self._text(record)
            if text:
                self._stream.write(f"{text}\n")
                self._stream.flush()
        except BrokenPipeError:  # of a screen that nobody reads any more; the workflow goes on
            self._stream = StringIO()
        except Exception:
            self.handleError(record)

    def _text(self, record: LogRecord) -> str | None:
        if self._screen is None:
            # The workflow imports the rungs beside it, which may be another one than the environment's.
            if "rungs.jobs.plan" not in sys.modules:
                return self.format(record) if record.levelno >= WARNING else None
            from rungs.jobs.screen import Screen

            self._screen = Screen(dry=self.common_settings.dryrun)
        return self._screen.text(record, self.format)

    @property
    def writes_to_stream(self) -> bool:
        """Return True: it takes the place of Snakemake's handler of the terminal."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Return False."""
        return False

    @property
    def has_filter(self) -> bool:
        """Return False: ``--quiet`` and ``--printshellcmds`` act as usual."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Return False: errors look as usual."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """Return False."""
        return False
