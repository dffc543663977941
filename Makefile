# make demo   the whole chain in minutes on two cores: makes its corpus, trains both halves, measures, speaks
# make test   everything that must be true
# Both set up .venv first. PYTHON=python3.12 picks an interpreter; PIP_ARGS goes to pip (an index, for example:
# PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" for a small CPU build of torch).
PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint setup clean

demo: setup
	$(BIN)/python -m tts demo

test: lint
	$(BIN)/python -m pytest -q

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2])' || \
		{ echo "error: Python 3.10 or newer is needed; try: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[demo,dev]"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[evaluate]" || \
		echo "note: the extra 'evaluate' did not install (two of its libraries need a C compiler); evaluation leaves out what it lacks" >&2
	@touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
