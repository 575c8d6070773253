# Every target of the project; `make help` lists them.
.DEFAULT_GOAL := help
# The first interpreter that is new enough; PYTHON= overrides.
PYTHON ?= $(shell for one in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$one && break; done)
PORT ?= 4566
DATA ?= .lambent
VENV := .venv
STAMP := $(VENV)/.ready

.PHONY: help setup run test check bench scorecard docs clean

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Lambent needs Python 3.11 or later: set PYTHON=" >&2; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Lambent into $(VENV) (once; about a minute)" >&2
	@$(VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --editable '.[dev]'
	@$(VENV)/bin/python -m compileall -q src
	@touch $@

setup: $(STAMP)  ## make the environment only

run: $(STAMP)    ## start Lambent, deploy examples/hello, invoke it, keep serving
	@PORT=$(PORT) DATA=$(DATA) $(VENV)/bin/python examples/run.py

# .ci/run reads the status file, because make turns every failure into 2.
test: $(STAMP)   ## run the whole test suite
	@mkdir -p build; $(VENV)/bin/python -m pytest -n 2 --dist loadfile $(TESTS); \
	status=$$?; echo $$status > build/pytest.status; exit $$status

check: $(STAMP)  ## lint, types and layer contracts
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

bench: $(STAMP)  ## measure against a peer in the same run
	@$(VENV)/bin/python -m bench

docs: $(STAMP)   ## write what is generated: docs/services/*.md and the table in README.md
	@$(VENV)/bin/python -m lambent.cli.support_table

scorecard: $(STAMP)  ## the structure table of this tree
	@$(VENV)/bin/python -m tests.tidy.scorecard

clean:           ## remove what the targets made
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache
