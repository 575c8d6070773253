# Every target of the project; `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 4566
DATA ?= .lambent
VENV := .venv
STAMP := $(VENV)/.ready

.PHONY: help setup run test check bench scorecard docs clean

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Lambent needs Python 3.11 or later; set PYTHON="'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Lambent into $(VENV) (once; about a minute)" >&2
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

setup: $(STAMP)  ## make the environment only

run: $(STAMP)    ## start Lambent, deploy examples/hello, invoke it, keep serving
	@PORT=$(PORT) DATA=$(DATA) $(VENV)/bin/python examples/run.py

test: $(STAMP)   ## run the whole test suite
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile

check: $(STAMP)  ## lint, types and layer contracts
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

bench: $(STAMP)  ## measure against a peer in the same run
	@$(VENV)/bin/python -m bench

scorecard: $(STAMP)  ## the structure table of this tree
	@$(VENV)/bin/python -m tests.tidy.scorecard

clean:           ## remove what the targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
