# The course in two commands, `make labs` and `make test`, from a Python 3.11 or newer alone.

.DEFAULT_GOAL := help
.PHONY: help labs lab test test-fast lint test-nightly test-order test-backends bench test-peers notebooks \
    mistakes outcomes site constraints clean

# The first suitable Python; choose another with `make PYTHON=...`.
PYTHON ?= $(firstword $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
    $$python tools/make_venv.py 2>/dev/null && echo $$python && break; done) python3)
VENV := .venv
RUN := $(VENV)/bin/python -m
STAMP := $(VENV)/.installed
# The other libraries that ours is compared with: an environment of their own, for their size.
PEERS := .venv-bench/bin/python
BENCH := .venv-bench/.installed
OPTIONS ?=
# LAB=01 (or "01 02") restricts `make labs` and `make notebooks` to these.
LAB ?=
LABS := $(addprefix --lab ,$(LAB))

# TensorFlow's start-up notes are not for a student's screen.
export TF_CPP_MIN_LOG_LEVEL := 3

help:  ## this list
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

labs: $(STAMP)  ## run every lab (LAB=01: that one); executed copies under build/labs, one table
	$(RUN) moe_labs run $(LABS)

lab: $(STAMP)  ## open JupyterLab on the students' copies
	$(RUN) jupyterlab --notebook-dir=notebooks

# A file's tests share a process, for their fixtures.
PARALLEL := --numprocesses=auto --maxprocesses=4 --dist=loadfile

test: lint  ## linter, all tests but the nightly ones, and the labs against their stored outputs
	$(RUN) pytest -m "not nightly" $(PARALLEL)
	$(RUN) moe_labs check

test-fast: lint  ## linter, unit tests and doctests, without the slow ones and the labs
	$(RUN) pytest -m "not slow" $(PARALLEL)

lint: $(STAMP)  ## ruff: rules and format
	$(RUN) ruff check
	$(RUN) ruff format --check

test-nightly: $(STAMP)  ## what takes hours: every lab with each exercise solved and wrong, recipes, a cluster
	$(RUN) pytest -m nightly tests

# A test that leans on those before it, or on chance, fails in some order or other.
SEEDS ?= 1 2 3
test-order: $(STAMP)  ## the fast tests in random orders, with fresh draws (SEEDS="1 2 3")
	for seed in $(SEEDS); do \
	    $(RUN) pytest -m "not slow" --random-order --random-order-seed=$$seed \
	        --hypothesis-profile=default $(PARALLEL) || exit 1; \
	done

notebooks: $(STAMP)  ## regenerate the students' copies and the executed solutions from the sources
	$(RUN) moe_labs generate $(LABS)
	$(VENV)/bin/python tools/make_picture.py

mistakes: $(STAMP)  ## regenerate the catalogue of common mistakes from the tests of the checks
	$(VENV)/bin/python tools/make_mistakes.py

outcomes: $(STAMP)  ## regenerate the table of outcomes, exercises and marks from the labs' sources
	$(VENV)/bin/python tools/make_outcomes.py

site: $(STAMP)  ## the course's website, in build/site (SOLUTIONS=1: a lecturer's, with the answers)
	$(VENV)/bin/python tools/make_site.py $(if $(SOLUTIONS),--solutions)

# What JAX and PyTorch are tested on: the layers, their losses and metrics.
PARTS := experts gates losses metrics mixtures ops
OTHERS := build/backends/bin/python -m
test-backends: $(STAMP) build/backends/.installed  ## the layers on JAX and PyTorch (a large download)
	rm -rf build/saved
	PYTHONPATH=tests KERAS_BACKEND=tensorflow $(RUN) public_layers build/saved
	for backend in jax torch; do \
	    KERAS_BACKEND=$$backend MOE_KERAS_SAVED='$(CURDIR)/build/saved' $(OTHERS) pytest \
	        $(PARTS:%=tests/moe_keras/%) $(PARTS:%=moe_keras/%) \
	        tests/moe_keras/backends tests/moe_keras/distribution tests/moe_keras/test_*.py \
	        tests/test_examples.py || exit 1; \
	done

build/backends/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear build/backends
	build/backends/bin/python -m pip install --constraint constraints.txt \
	    --editable .[jax,torch,test]
	touch $@

bench: $(BENCH)  ## cost of the dispatchers and of peers (about 10 minutes; OPTIONS="--help")
	$(PEERS) -m benchmarks $(OPTIONS)

test-peers: $(BENCH)  ## outputs, gradients and losses against other libraries, weights copied
	$(PEERS) -m pytest tests/peers

# With the oldest Python: what it can install, the newer ones can too.
constraints: PYTHON := python3.11
constraints:  ## pin today's versions of all dependencies in constraints.txt
	$(PYTHON) -m venv --clear build/constraints
	build/constraints/bin/python -m pip install --upgrade --upgrade-strategy eager --editable .[dev,jax,bench]
	build/constraints/bin/python -m pip freeze --all --exclude-editable --exclude pip > build/pins.txt
	(echo "# Made by 'make constraints': the versions that the tests run on."; cat build/pins.txt) > constraints.txt

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) .venv-bench build

# A copied or moved checkout has an environment that still points to the old place.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || \
	    { echo "No Python called $(PYTHON). Install Python 3.11 or newer: https://www.python.org/downloads/"; exit 1; }
	@$(PYTHON) tools/make_venv.py $(VENV)

$(BENCH): pyproject.toml constraints.txt
	@$(PYTHON) tools/make_venv.py
	$(PYTHON) -m venv .venv-bench
	$(PEERS) -m pip install --disable-pip-version-check --constraint constraints.txt \
	    --editable .[test,bench]
	@touch $@
