# Everything runs from .venv, with what uv.lock names; the first target that needs it makes it.
# Another Python beside it: make test PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV ?= .venv
PREFIX ?= /usr/local
UV_VERSION := 0.13.9
BIN := $(VENV)/bin
UV := UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv
STAMP := $(VENV)/.installed

.PHONY: demo test flaky quick check lint types types-darwin contracts compiled lock man install-man docs screenshots bench bench-savings bundle dist test-release smoke test-lowest canary test-resilience clean

demo: $(VENV)/.demo
	@$(BIN)/redis-oom-tui demo

# Whatever the environment says: the hundreds of commands that the tests start would compile everything each time.
test quick flaky: export PYTHONDONTWRITEBYTECODE =

test: $(STAMP)
	@$(MAKE) --no-print-directory -j check compiled
	@$(BIN)/python -m pytest -n 8 --dist worksteal --durations=15 $(TESTS)

# The suite, or TESTS of it, several times: what did not end the same each time.
RUNS ?= 10
flaky: $(STAMP)
	@$(BIN)/python scripts/flaky.py $(RUNS) $(TESTS)

# On a new clone each worker would compile all tests for itself. What fails here is told by the run.
compiled: $(STAMP)
	@$(BIN)/python -m pytest -qq --collect-only $(TESTS) > /dev/null || true

# What needs no server, in under half a minute: after every small change.
quick: check
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/rules tests/formatting tests/models tests/test_names.py \
		redis_oom_tui/rules redis_oom_tui/formatting redis_oom_tui/models

# Side by side: without their caches the two runs of mypy take most of the time.
check: $(STAMP)
	@$(MAKE) --no-print-directory -j lint types types-darwin contracts

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

types-darwin: $(STAMP)
	@$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin redis_oom_tui

contracts: $(STAMP)
	@$(BIN)/lint-imports --no-cache

# After a change of the dependencies in pyproject.toml; `make lock UPGRADE=--upgrade` takes the newest that they allow.
lock: $(VENV)/.uv
	@$(UV) lock $(UPGRADE)

man: $(STAMP)
	@mkdir -p build
	@$(BIN)/python -m scripts.manual > build/redis-oom-tui.1
	@echo build/redis-oom-tui.1

# For all users: make install-man; for one: make install-man PREFIX=~/.local
install-man: man
	@install -d $(DESTDIR)$(PREFIX)/share/man/man1
	@install -m 644 build/redis-oom-tui.1 $(DESTDIR)$(PREFIX)/share/man/man1/redis-oom-tui.1
	@echo $(DESTDIR)$(PREFIX)/share/man/man1/redis-oom-tui.1

docs: $(STAMP)
	@PYTHONPATH=. $(BIN)/python docs/reference.py

screenshots: $(STAMP)
	@$(BIN)/python -m screenshots.draw

# All tables, or some: make bench BENCH='speed start'.
bench: $(STAMP)
	@$(BIN)/python -m tests.benchmarks --write $(BENCH)

bench-savings: $(STAMP)
	@$(BIN)/python -m tests.benchmarks.savings

# What a release consists of, each built from the one before: sources, wheel, bundle. With the Python of BUNDLE_PYTHON,
# which uv may fetch (3.13), the bundle runs on older systems than with this one's.
BUNDLE_PYTHON ?= $(BIN)/python
bundle: $(STAMP)
	@rm -rf dist
	@$(UV) build --quiet --no-build-isolation --no-create-gitignore
	@$(BIN)/python scripts/bundle.py --python $(BUNDLE_PYTHON)

dist: bundle
	@cd dist && sha256sum -- * > SHA256SUMS
	@ls -l dist

# Each command of the wheel once, in an environment of its own: with the newest dependencies that it allows, and with the
# lowest. Any Python: make smoke PYTHON=python3.13
SMOKE := build/smoke
smoke: smoke-highest test-lowest
test-lowest: smoke-lowest-direct
smoke-%: | $(VENV)/.uv
	@$(UV) build --quiet --wheel --clear --no-create-gitignore --out-dir $(SMOKE)/dist
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(SMOKE)/venv
	@$(BIN)/uv pip install --quiet --python $(SMOKE)/venv --resolution $* -r pyproject.toml --all-extras
	@$(BIN)/uv pip install --quiet --python $(SMOKE)/venv --no-deps $(SMOKE)/dist/*.whl
	@$(BIN)/uv pip freeze --python $(SMOKE)/venv
	@$(SMOKE)/venv/bin/python scripts/smoke.py

# The suite with the newest releases, whatever the bounds in pyproject.toml: what breaks next.
CANARY := build/canary
canary: $(STAMP)
	@mkdir -p build && sed -En 's/^    "((textual|redis\[hiredis\])>=[^,"]*),.*/\1/p' pyproject.toml > $(CANARY).txt
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(CANARY)
	@$(BIN)/uv pip install --quiet --python $(CANARY) --upgrade --override $(CANARY).txt --group dev --editable '.[demo,prometheus]'
	@$(BIN)/uv pip freeze --python $(CANARY)
	@$(CANARY)/bin/python -m pytest -n 8 --dist worksteal $(TESTS)

# What applications import, with each redis-py that they may have. The old ones leave sockets to the garbage collector.
RESILIENCE := build/resilience
test-resilience: $(STAMP)
	@set -e; for release in 5.0.0 '5.*' '6.*' '7.*' '8.*'; do \
		UV_PROJECT_ENVIRONMENT=$(RESILIENCE) $(BIN)/uv sync --quiet --locked --extra demo; \
		$(BIN)/uv pip install --quiet --python $(RESILIENCE) "redis[hiredis]==$$release"; \
		$(RESILIENCE)/bin/python -c 'import redis; print("redis-py", redis.__version__)'; \
		$(RESILIENCE)/bin/python -m pytest -q -n 2 -W ignore::ResourceWarning \
			-W ignore::pytest.PytestUnraisableExceptionWarning redis_oom_tui/resilience.py tests/server/test_resilience.py \
			tests/server/test_resilience_*.py; \
	done

# What is handed out, on a host without Python: two minutes to build, seconds to test.
test-release: dist
	@$(BIN)/python -m pytest -q tests/release/wheel.py tests/release/bundle.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The demo needs a tenth of what the tests need. Each of these adds to .venv, and none takes away from it.
$(STAMP): pyproject.toml uv.lock | $(VENV)/.uv
	@echo "Installing the development's dependencies into $(VENV): this takes some seconds, once." >&2
	@$(UV) sync --quiet --locked --inexact --all-extras --group apps
	@touch $@ $(VENV)/.demo

$(VENV)/.demo: pyproject.toml uv.lock | $(VENV)/.uv
	@echo "Installing the app and the demo's server into $(VENV): this takes some seconds, once." >&2
	@$(UV) sync --quiet --locked --inexact --no-default-groups --extra demo
	@touch $@

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "redis-oom-tui needs Python 3.11 or newer: say which with 'make PYTHON=python3.12 ...'" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: on Debian, 'apt install python3-venv'" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@
