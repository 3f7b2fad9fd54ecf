# make all    set up, then the default profile: figures, tables and a summary in results/quick/
# make test   set up, then the whole test suite
# make check  the code checks alone
#
# PYTHON= chooses the interpreter (3.11 or later), CORES= the number of cores,
# CONFIG= another profile, e.g. make all CONFIG=config/smoke.yaml

PYTHON ?= python3
CORES ?= all
CONFIG ?=
VENV := .venv
BIN := $(VENV)/bin
PINS := envs/requirements.txt envs/dev.txt pyproject.toml

.PHONY: all test check setup clean

all: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) all $(if $(CONFIG),--configfile $(CONFIG))

setup: $(VENV)/.complete

$(VENV)/.complete: $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rungs needs Python 3.11 or later; $(PYTHON) is older. Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement envs/requirements.txt --requirement envs/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

test: setup check
	PATH="$(CURDIR)/$(BIN):$$PATH" pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

clean:
	rm -rf $(VENV) .snakemake
