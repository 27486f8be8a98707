# Everything runs from .venv, which the first target that needs it makes.
# Another Python beside it: make test PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test quick check man docs screenshots bench clean

demo: $(STAMP)
	@$(BIN)/redis-oom-tui demo

test: check
	@$(BIN)/python -m pytest -n 6 --dist worksteal

# What needs no server, in under half a minute: after every small change.
quick: check
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/rules tests/formatting tests/models tests/test_names.py \
		redis_oom_tui/rules redis_oom_tui/formatting redis_oom_tui/models

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

man: $(STAMP)
	@mkdir -p build
	@$(BIN)/python -m redis_oom_tui.cli.manual > build/redis-oom-tui.1
	@echo build/redis-oom-tui.1

docs: $(STAMP)
	@$(BIN)/python docs/reference.py

screenshots: $(STAMP)
	@$(BIN)/python screenshots/draw.py

bench: $(STAMP)
	@$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "redis-oom-tui needs Python 3.11 or newer: say which with 'make PYTHON=python3.12 ...'" >&2; exit 1; }
	@echo "Making $(VENV) and installing what is needed into it: this takes about a minute, once." >&2
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: on Debian, 'apt install python3-venv'" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
