"""Sphinx's settings of the documentation site: ``make docs``.

The source folder is the repository, so that the pages of ``docs/`` and those beside them (README,
CONTRIBUTING, ``config/README.md``) are pages of the site, and their links lead where they lead on a
code host.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from rungs import __version__  # noqa: E402

project = "rungs"
author = copyright = "The rungs developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.apidoc"]
include_patterns = ["*.md", "config/*.md", "resources/*.md", "results/*.md", "docs/**"]
root_doc = "docs/index"

myst_heading_anchors = 4  # as code hosts have them
suppress_warnings = ["ref.python"]  # attributes in docstrings, whose names several classes have

# The reference: the interface, and the rooms that people import models and estimators from.
REFERENCE = {"api.py", "probability", "models", "evaluation"}
PACKAGE = ROOT / "src/rungs"
apidoc_modules = [
    {
        "path": str(PACKAGE),
        "destination": "docs/reference",
        "exclude_patterns": [
            str(path) for path in PACKAGE.iterdir() if path.name not in {*REFERENCE, "__init__.py"}
        ],
        "separate_modules": True,
        "module_first": True,
        "automodule_options": ["members", "show-inheritance"],
    }
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of dataclasses are documented once, in the class's docstring

html_theme = "furo"
html_title = f"rungs {release}"
html_extra_path = ["site"]  # index.html, which leads to the first page
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
