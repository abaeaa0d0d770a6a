PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help run test faults lint schema bench clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

run: $(INSTALLED)  ## install, then train the quickstart pair to its verdict
	$(BIN)/python -m src.experiments.runner --config configs/quickstart.json --resume

test: $(INSTALLED) lint  ## the fast tests and the linters
	$(BIN)/python -m pytest -m "not slow"

faults: $(INSTALLED)  ## kill, starve and corrupt experiments, every way in full count (half an hour)
	$(BIN)/python -m tests.faults.make_faults

lint: $(INSTALLED)  ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

schema: $(INSTALLED)  ## regenerate the committed tables and the JSON Schema
	$(BIN)/python -m src.experiments.training.signatures
	$(BIN)/python -m src.experiments schema > configs/experiment.schema.json

bench: $(INSTALLED)  ## measure beside the library and beside ourselves (a quarter of an hour)
	-$(BIN)/python benchmarks/statistics.py
	-$(BIN)/python benchmarks/overhead.py
	-$(BIN)/python benchmarks/pair.py --only bare sequential parallel
	-$(BIN)/python benchmarks/pair.py --eight
	-$(BIN)/python benchmarks/scale.py
	-$(BIN)/python benchmarks/listing.py
	-$(BIN)/python benchmarks/checkpoint.py
	-$(BIN)/python benchmarks/trackers.py --rounds 3

clean:  ## remove the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
