"""rungs: a replication pipeline for variational autoencoders.

Importing the package is cheap: torch, pandas and matplotlib are imported by the
modules that use them, so that the Snakefile and the command line start quickly.
"""

__version__ = "0.1.0"
