# Two commands: `make demo` and `make test`. Both build the environment in .venv first.

# The first Python of at least 3.12 that runs; `make PYTHON=/path/to/python3` chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.14 python3.12; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help env demo test test-slow lint format bench clean

help:
	@echo "make demo    convert the bundled SDR clip to HDR10 and say where the result is"
	@echo "make test    run the tests, and make test-slow the long ones"
	@echo "make lint    check style and types"
	@echo "make bench   time the filters beside zimg's own conversion"
	@echo "make clean   remove the environment and what the demo wrote"

$(VENV)/.core: pyproject.toml
	@test -n "$(PYTHON)" || { echo "vs_gainmap needs Python 3.12 or later; none was found"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[demo]"
	$(BIN)/vapoursynth config
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --editable ".[demo,photo,train,test,lint]"
	@touch $@

env: $(VENV)/.dev

demo: $(VENV)/.core
	$(BIN)/python examples/demo/demo.py

# One thread a worker: two workers that take two threads each are slower than one.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=2 --durations=10

test: env
	$(PYTEST) -m "not slow"

test-slow: env
	$(PYTEST) -m slow

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.core
	$(BIN)/python -m vs_gainmap.bench

clean:
	rm -rf $(VENV) demo-output
