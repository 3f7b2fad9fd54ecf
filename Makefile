# make all    set up, then the default profile: figures, tables and a summary in results/quick/
# make test   set up, then the whole test suite
# make test-cluster  the tests against a real Slurm and Grid Engine on this machine, and of the other
#             executors
# make test-faults  kill, fill the disk, cut the power of real runs, and count what survives; FAULTS="kill
#             full" for some kinds, again for those that are left (tests/faults)
# make test-truth  numbers against other implementations, intervals, the same bytes twice, memory:
#                  docs/trust.md; an hour of one core
# make check  the code checks alone
# make docs   the documentation as a site, in build/docs/ (docs/conf.py)
# make test-fuzz  bad input by property, some thousand cases (FUZZ_CASES= a property); make test has a few
# make audit  look up known vulnerabilities of the pinned packages (needs the vulnerability service)
#
# PYTHON= chooses the interpreter (3.11 or later), CORES= the number of cores,
# CONFIG= another profile, e.g. make all CONFIG=config/smoke.yaml

PYTHON ?= python3
CORES ?= all
CONFIG ?=
VENV := .venv
BIN := $(VENV)/bin

# make bench  measure speed beside the machine's limits and pythae; RUNGS_RAW_DATA= for MNIST
.PHONY: all test test-cluster test-faults test-fuzz test-truth bench audit check docs setup clean

all: $(VENV)/.complete
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores $(CORES) all $(if $(CONFIG),--configfile $(CONFIG))

# What pip prints goes to a log, which an error shows. It compiles nothing: two minutes for all modules of
# all packages, of which a fraction is ever imported.
define install
@{ $(1); } > $(VENV)/install.log 2>&1 || { cat $(VENV)/install.log >&2; exit 1; }
@touch $@
endef
PIP := $(BIN)/python -m pip install --no-compile

$(VENV)/.complete: envs/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rungs needs Python 3.11 or later; $(PYTHON) is older. Name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV)/ (some minutes; log in $(VENV)/install.log)"
	$(call install,$(PIP) --requirement envs/requirements.txt && $(PIP) --no-deps --editable .)

# what the tests and the code checks need besides
$(VENV)/.developer: $(VENV)/.complete envs/dev.txt
	@echo "installing into $(VENV)/ what tests need (log in $(VENV)/install.log)"
	$(call install,$(PIP) --requirement envs/requirements.txt --requirement envs/dev.txt)

setup: $(VENV)/.developer

test: setup check
	PATH="$(CURDIR)/$(BIN):$$PATH" pytest

# Snakemake's executor plugins live in an environment of their own, laid over the first: with the
# Slurm plugin beside it, every start of Snakemake looks for a Slurm controller.
CLUSTER := $(VENV)/cluster

$(CLUSTER)/.complete: $(VENV)/.developer envs/cluster.txt envs/cluster-dev.txt
	$(BIN)/python -m venv $(CLUSTER)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > $$($(CLUSTER)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/rungs.pth
	$(CLUSTER)/bin/python -m pip install --quiet --requirement envs/cluster.txt --requirement envs/cluster-dev.txt
	touch $@

test-cluster: $(CLUSTER)/.complete
	RUNGS_TEST_CLUSTER=1 $(CLUSTER)/bin/python -m pytest -n 0 -rs tests/cluster

test-faults: setup
	$(BIN)/python tests/faults $(FAULTS)

# Our speed beside the machine's limits and a peer's; the peer lives in an environment of its own.
BENCH := $(VENV)/bench

$(BENCH)/.complete: $(VENV)/.developer envs/bench.txt
	$(BIN)/python -m venv $(BENCH)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > $$($(BENCH)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/rungs.pth
	$(BENCH)/bin/python -m pip install --quiet --requirement envs/bench.txt
	touch $@

# What docs/trust.md states, measured again; pythae is one of the independent implementations.
test-truth: $(BENCH)/.complete
	RUNGS_TEST_TRUTH=1 $(BENCH)/bin/python -m pytest -n 0 -rs -s \
	  tests/evaluation/test_reference.py tests/models/test_gradients.py tests/truth
	$(BENCH)/bin/python tests/claims/test_intervals.py

bench: $(BENCH)/.complete
	$(BENCH)/bin/python -m rungs bench $(BENCH_OPTIONS)

# Bad input: configurations, raw data, weights, checkpoints, results, archives (docs/trust.md).
FUZZ_CASES ?= 60

test-fuzz: setup
	RUNGS_FUZZ_CASES=$(FUZZ_CASES) PATH="$(CURDIR)/$(BIN):$$PATH" pytest -n 0 tests/fuzz

# The auditor lives in an environment of its own: it must not change what it looks at. "Error 1": a
# vulnerability is known; "Error 3": a package could not be looked up, which is no clean bill.
AUDIT := $(VENV)/audit
AUDITED := requirements dev tensorboard cluster cluster-dev bench audit

$(AUDIT)/.complete: envs/audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --requirement envs/audit.txt
	touch $@

audit: $(AUDIT)/.complete setup
	@$(AUDIT)/bin/python scripts/audit.py $(foreach name,$(AUDITED),envs/$(name).txt)
	@$(AUDIT)/bin/python scripts/audit.py --path \
	  "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/snakemake --lint

# Anew each time: pages that a failed build left are taken for sources of the next.
docs: setup
	@rm -rf build/docs docs/reference
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs . build/docs
	@echo "the site: build/docs/index.html"

clean:
	rm -rf $(VENV) .snakemake build docs/reference
