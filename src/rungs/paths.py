"""The place of the package: its version, and the clone beside which it lies."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"
#: the folder of the package's modules
PACKAGE = Path(__file__).resolve().parent
#: the clone: configuration, schema, workflow and embedded data lie beside the package
ROOT = PACKAGE.parents[1]
