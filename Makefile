# Every target sets itself up: its own .venv with the versions of constraints.txt, by uv when it is
# present, else by pip. Name another interpreter with PYTHON=..., another folder with VENV=...
SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := $(VENV)/bin
SETTINGS := setup.cfg pyproject.toml constraints.txt
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: quickstart test test-slow mutations check format bench docs docs-run site clean help
.DEFAULT_GOAL := help

help:
	@echo "make quickstart   demo data -> train -> evaluate -> index -> SavedModel -> an answer -> report"
	@echo "make test         the tests, doc examples included (10 to 13 minutes on 2 cores)"
	@echo "make test-slow    the tests that train to a quality bar"
	@echo "make mutations    138 faults, one after the other: the tests must notice each (8 minutes)"
	@echo "make check        lint, format, types, import rules, spelling"
	@echo "make format       rewrite the code as ruff formats it"
	@echo "make bench        all benchmarks; results in benchmarks/results"
	@echo "make docs         regenerate the tables of the documents from benchmarks/results"
	@echo "make docs-run     run the examples of README.md and docs"
	@echo "make site         the documents as a site, warnings as errors; in build/site"

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "tfrecs needs Python 3.11, 3.12 or 3.13; this machine has $$(python3 --version 2>&1 || echo none)." >&2; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.12 ..." >&2; \
		exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "tfrecs needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@if command -v uv >/dev/null; then uv venv -q --python "$(PYTHON)" "$(VENV)"; \
	else $(PYTHON) -m venv "$(VENV)" || { \
		rm -rf "$(VENV)"; \
		echo "Python's venv module is missing. Debian, Ubuntu: apt install python3-venv" >&2; exit 1; }; fi

define install
	@echo "Installing tfrecs$(1) into $(VENV) (a few minutes the first time)"
	@if command -v uv >/dev/null; then uv pip install -q --python "$(BIN)/python" -c constraints.txt -e '.$(1)'; \
	else "$(BIN)/python" -m pip install -q --disable-pip-version-check -c constraints.txt -e '.$(1)'; fi
	@touch "$@"
endef

$(VENV)/.ready: $(SETTINGS) | $(BIN)/python
	$(call install,)

$(VENV)/.ready-test: $(SETTINGS) | $(BIN)/python
	$(call install,[test])

quickstart: $(VENV)/.ready
	@$(BIN)/tfrecs quickstart

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --durations 15

test-slow: $(VENV)/.ready-test
	XLA_FLAGS= $(BIN)/python -m pytest -q -m slow --durations 15  # compiled as users compile

mutations: $(VENV)/.ready-test
	$(BIN)/python tests/mutations/suite.py

check: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(VENV)/.ready-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.ready-test
	for subject in demo features retrieval factorization implicit ctr ctr_speed sessions pipelines; do $(BIN)/python benchmarks/$$subject.py || exit 1; done
	$(MAKE) docs

docs: $(VENV)/.ready-test
	$(BIN)/python benchmarks/tables.py

docs-run: $(VENV)/.ready-test
	$(BIN)/python docs/run.py

site: $(VENV)/.ready-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site

clean:
	rm -rf "$(VENV)" build dist *.egg-info .mypy_cache .ruff_cache runs
