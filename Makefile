PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := .venv-bench
PEERS := .venv-peers
ROUNDS ?= 5
# TORCH=cpu spares the CUDA libraries, which PyTorch's package for Linux brings along
TORCH ?= pypi
TORCH_cpu := --index-url https://download.pytorch.org/whl/cpu
TORCH_FROM ?= $(TORCH_cpu)

.PHONY: help run test faults lint schema bench clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

define check_python
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "error: $(PYTHON) is `$(PYTHON) --version 2>&1`, and 3.11 or newer is needed" >&2; \
	echo "  remedy: name another one, as in: make $(or $(MAKECMDGOALS),run) PYTHON=python3.11" >&2; exit 1; }
endef

$(INSTALLED): pyproject.toml constraints.txt
	$(check_python)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt $(TORCH_$(TORCH)) torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

run: $(INSTALLED)  ## install, then train the quickstart pair to its verdict
	$(BIN)/python -m src.experiments.runner --config configs/quickstart.json --mode parallel --resume

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
	-$(BIN)/python -m src.experiments.training.trl.signatures  # where the extra [llm] is installed
	$(BIN)/python -m src.experiments schema > configs/experiment.schema.json

$(BENCH)/.installed: pyproject.toml constraints.txt
	$(check_python)
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --constraint constraints.txt $(TORCH_FROM) torch
	$(BENCH)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev,ray]' py-spy
	touch $@

$(PEERS)/.installed: benchmarks/peers/requirements.txt constraints.txt
	$(check_python)
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --constraint constraints.txt $(TORCH_FROM) torch
	$(PEERS)/bin/pip install --quiet --requirement benchmarks/peers/requirements.txt
	touch $@

bench: $(BENCH)/.installed $(PEERS)/.installed  ## measure beside the library and peers; writes docs/performance.md (over an hour; ROUNDS=3 is shorter)
	$(BENCH)/bin/python benchmarks/performance.py --rounds $(ROUNDS) --peers $(PEERS)/bin/python
	-$(BENCH)/bin/python benchmarks/statistics.py

clean:  ## remove the virtual environment and the caches
	rm -rf $(VENV) $(BENCH) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
