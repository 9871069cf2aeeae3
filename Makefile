# Everything goes through .venv, made on first use. PYTHON names the interpreter to make it with (3.11 or newer).
# Where pip finds packages is the user's own pip configuration.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DELETE_ON_ERROR:
.PHONY: help test check archives explore fuzz demo bench bench-docs soak kill docs clean

help:
	@echo "make demo    see calhub work: real CalDAV servers and a folder, five services at once, rules; in a temporary home"
	@echo "make test    every check: linter, formatter, strict type checker, tests"
	@echo "make bench   speed, side by side with vdirsyncer and khal (SIZES=1000,10000 ONLY=pull to choose)"
	@echo "make soak    the engine against made-up users, services and crashes (SECONDS=60 SEED=1 RUNS=0 SERVICES=google,notion)"
	@echo "make kill    kill 50 syncs at chosen moments, run each again and compare (KILLS=10 SEED=2 to choose)"
	@echo "make explore the property tests with new examples, not the ones that make test repeats (TIMES=5 to choose)"
	@echo "make fuzz    feed the readers of calendar files and of server answers with nonsense (MINUTES=5 to choose)"
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

test: check archives
	$(BIN)/pytest -n 2 --dist worksteal

# Source archives whose calendar files the tests read; as such, not as wheels, which have none.
archives: .archives/.ready
.archives/.ready: $(READY)
	rm -rf .archives
	$(BIN)/python -m pip download --quiet --no-deps --no-binary icalendar,recurring-ical-events --dest .archives \
		$$(grep -E '^(icalendar|recurring-ical-events)==' requirements-dev.txt)
	@touch $@

TIMES ?= 1
explore: check
	for time in $$(seq $(TIMES)); do HYPOTHESIS_PROFILE=explore $(BIN)/pytest -n 2 -m hypothesis || exit; done

MINUTES ?= 5
fuzz: $(READY)
	$(BIN)/python -m pip install --quiet 'atheris>=3' || echo "No atheris for this Python: fuzzing with Hypothesis."
	$(BIN)/python -m scripts.fuzz --minutes $(MINUTES)

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
	$(BIN)/python scripts/soak.py --seconds $(SECONDS) --seed $(SEED) --runs $(RUNS) --services "$(SERVICES)"

KILLS ?= 50
kill: $(READY)
	$(BIN)/python -m tests.process.killing --kills $(KILLS) --seed $(SEED)

docs: $(READY)
	$(BIN)/python scripts/cli_reference.py
	$(BIN)/python scripts/field_tables.py

clean:
	rm -rf .venv .archives .fuzz .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
