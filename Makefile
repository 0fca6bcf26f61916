# One .venv, made from python3, venv and pip alone; one stamp per group of extras.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORE   := $(VENV)/.installed-core
DEV    := $(VENV)/.installed-dev
PEERS  := .venv-peers
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: test test-wide test-certificates atlas notebooks docs bench lint clean

# Everything with 64-bit mode on; and off, in float32, what depends on the dtype or on the switch itself. Most of the
# time is XLA's compiling, so its last optimisations are off here, and on in test-wide and test-certificates; and a
# program is not split among threads, which costs a quarter more where every core is busy. JAX 0.12 has dropped one of
# the flags, and XLA aborts on a flag it does not know.
QUICK    := --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false \
	--xla_cpu_parallel_codegen_split_count=1
SWITCHED := architecture bounds builders certainty evaluate extremes importers models problems scores shared
test: $(DEV)
	flags="$$($(BIN)/python tests/xla_flags.py $(QUICK))"; \
	JAX_ENABLE_X64=1 XLA_FLAGS="$$flags" $(BIN)/python -m pytest -n 2 && \
	JAX_ENABLE_X64=0 XLA_FLAGS="$$flags" $(BIN)/python -m pytest -n 2 $(SWITCHED:%=tests/test_%.py)

# What users run: the certificates and decisions under XLA's normal code generation, and the doctests.
test-certificates: $(DEV)
	JAX_ENABLE_X64=1 $(BIN)/python -m pytest -n 2 tests/test_bounds.py tests/test_soft_bounds.py tests/test_certainty.py \
		tests/test_transformations.py tests/test_blocks.py
	JAX_ENABLE_X64=0 $(BIN)/python -m pytest -n 2 tests/test_bounds.py tests/test_certainty.py tests/test_architecture.py

# The wide sweeps of random instances: ten thousand certificates, a hundred thousand decisions; and the mutants; then all
# with 64-bit off.
test-wide: $(DEV)
	JAX_ENABLE_X64=1 $(BIN)/python -m pytest -n 2 -m slow -rP
	JAX_ENABLE_X64=0 $(BIN)/python -m pytest -n 2

atlas: $(CORE)
	$(BIN)/jaxcliff atlas

# The notebooks are written as scripts; these are the same with their outputs.
notebooks: $(DEV)
	$(PIP) --editable '.[notebooks]'
	$(BIN)/jupytext --quiet --to ipynb --set-kernel python3 --execute notebooks/*.py

# The reference, the gallery and the guides as static pages in docs/site; and the doctests.
docs: $(DEV)
	$(PIP) --editable '.[docs]'
	$(BIN)/python docs/build.py
	JAX_ENABLE_X64=0 $(BIN)/python -m pytest -q tests/test_architecture.py -k doctest

# The other libraries live in an environment of their own; one that cannot be installed is reported as missing.
bench: $(DEV) $(PEERS)/.installed
	@mkdir -p benchmarks/results
	$(BIN)/python -m benchmarks --json benchmarks/results/latest.json --figure benchmarks/results/latest.png

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

# mdpax asks for CUDA wheels, so it comes without what it asks for, and what it needs on a CPU is named.
$(PEERS)/.installed: Makefile
	$(PYTHON) -m venv $(PEERS)
	-for peer in quantecon==0.11.4 pymdptoolbox==4.0b3 mdpsolver==0.10.2 jaxdp==0.4.0 stormpy==2.0.0 \
			"--no-deps mdpax==0.2.2" "chex hydra-core jaxtyping loguru numpyro orbax-checkpoint"; do \
		$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet $$peer || echo "$$peer: not installed"; done
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS)
