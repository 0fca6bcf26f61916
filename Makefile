# One .venv, made from python3, venv and pip alone; one stamp per group of extras.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORE   := $(VENV)/.installed-core
DEV    := $(VENV)/.installed-dev
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: test test-wide atlas bench lint clean

# Both switches of 64-bit mode; float32 is tested in both. Most of the time is XLA's compiling, so its last
# optimisations are off here, and on in test-wide.
test: export XLA_FLAGS := --xla_backend_optimization_level=0
test: $(DEV)
	JAX_ENABLE_X64=1 $(BIN)/python -m pytest -n 2
	JAX_ENABLE_X64=0 $(BIN)/python -m pytest -n 2

# The wide sweeps of random instances: thousands of certificates, a hundred thousand decisions.
test-wide: $(DEV)
	JAX_ENABLE_X64=1 $(BIN)/python -m pytest -m slow -s

atlas: $(CORE)
	$(BIN)/jaxcliff atlas

bench: $(DEV)
	$(BIN)/python -m benchmarks

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(CORE): pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(DEV): pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $(CORE) $@

clean:
	rm -rf $(VENV)
