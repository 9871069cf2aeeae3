# Everything goes through .venv, made on first use. PYTHON names the interpreter to make it with (3.11 or newer).
# Where pip finds packages is the user's own pip configuration.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DELETE_ON_ERROR:
.PHONY: help test check demo bench bench-docs soak docs clean

help:
	@echo "make demo    see calhub work: two real CalDAV servers and a folder, in a temporary home"
	@echo "make test    every check: linter, formatter, strict type checker, tests"
	@echo "make bench   speed, side by side with vdirsyncer and khal (SIZES=1000,10000 ONLY=pull to choose)"
	@echo "make soak    the engine against made-up users, services and crashes (SECONDS=60 SEED=1 RUNS=0)"
	@echo "make docs    write the generated pages of docs/ anew"
	@echo "make clean   remove what the commands above made"

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "calhub needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/pytest -n 2

demo: $(READY)
	@$(BIN)/calhub demo

SIZES ?= 1000,10000
ONLY ?=
.bench/.ready: bench/requirements.txt
	rm -rf .bench
	$(PYTHON) -m venv .bench
	.bench/bin/python -m pip install --quiet -r bench/requirements.txt
	@touch $@

bench: $(READY) .bench/.ready
	$(BIN)/python -m bench --sizes $(SIZES) --only "$(ONLY)"

# The results page and the plot, from the last run of `make bench`.
bench-docs: $(READY)
	$(BIN)/python -m bench --report

SECONDS ?= 60
SEED ?= 1
RUNS ?= 0
soak: $(READY)
	$(BIN)/python scripts/soak.py --seconds $(SECONDS) --seed $(SEED) --runs $(RUNS)

docs: $(READY)
	$(BIN)/python scripts/cli_reference.py
	$(BIN)/python scripts/field_tables.py

clean:
	rm -rf .venv .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
