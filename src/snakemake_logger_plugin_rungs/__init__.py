"""A plugin of Snakemake, ``--logger rungs``: a line for each job instead of a paragraph.

Snakemake finds it by the name of this package. What it prints is decided in :mod:`rungs.jobs.screen`.
"""

from __future__ import annotations

import sys
from io import StringIO
from logging import LogRecord
from typing import TextIO

from snakemake_interface_logger_plugins.base import LogHandlerBase

__all__ = ["LogHandler"]


class LogHandler(LogHandlerBase):
    """The handler that writes to the terminal; Snakemake's own log file stays complete."""

    def __post_init__(self) -> None:
        # here, because every Snakemake of the environment imports every plugin
        from rungs.jobs.screen import Screen

        self._stream: TextIO = sys.stdout if self.common_settings.stdout else sys.stderr
        self._screen = Screen(dry=self.common_settings.dryrun)

    def emit(self, record: LogRecord) -> None:
        """Print the line of a record, if it has one."""
        try:
            text = self._screen.text(record, self.format)
            if text:
                self._stream.write(f"{text}\n")
                self._stream.flush()
        except BrokenPipeError:  # of a screen that nobody reads any more; the workflow goes on
            self._stream = StringIO()
        except Exception:
            self.handleError(record)

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
