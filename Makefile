# The whole interface: `make help`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup demo test docs dist robustness check format clean
help:  ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: $(STAMP)  ## Make .venv with the pinned dependencies
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -c 'import cv2' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--force-reinstall --no-deps -c constraints.txt opencv-python-headless
	touch $(STAMP)

demo: $(STAMP)  ## The whole road on generated data, and its leaderboard
	$(BIN)/bench demo

test: $(STAMP)  ## The test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

docs: $(STAMP)  ## The documentation as a site, docs/_build/index.html
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

dist: $(STAMP)  ## The wheel and the source archive, in dist/
	$(BIN)/python -m build --no-isolation

robustness: $(STAMP)  ## Break things for hours, and write the table of docs/ROBUSTNESS.md
	OMP_NUM_THREADS=1 $(BIN)/python tests/robustness/table.py

check: $(STAMP)  ## Format, lint and types, as before every commit
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

format: $(STAMP)  ## Put the code in form
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:  ## Take away what setup and the demo made
	rm -rf .venv data runs demo demo.yaml leaderboard.*
