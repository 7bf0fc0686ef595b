.DEFAULT_GOAL := help

PYTHON ?= python3
# Most suites wait for processes and clocks, so more of them than cores have room.
WORKERS ?= 3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: help
help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is older than 3.11"; \
		echo "fix:   make PYTHON=python3.11 …"; exit 1; }
	@echo "installing into .venv (once; about a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: install
install: .venv/ready  ## Install everything, locked, into .venv

.PHONY: demo
demo: .venv/ready  ## Color App with real Envoys and light traffic, in the foreground
	@$(RUN) weft demo

.PHONY: test
test: .venv/ready  ## Every suite, real Envoy included; small profiles
	@$(RUN) pytest -q -n $(WORKERS) --dist loadfile -m "not soak and not alone"
	@$(RUN) pytest -q -m "alone and not soak"

.PHONY: soak
soak: .venv/ready  ## The large numbers: load, kills, 1 000 proxies; prints the figures
	@$(RUN) pytest -q -m soak -s

.PHONY: check
check: .venv/ready lint types layers test  ## Everything a change must pass

.PHONY: lint
lint: .venv/ready
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .

.PHONY: types
types: .venv/ready
	@$(RUN) mypy src examples bench

.PHONY: layers
layers: .venv/ready
	@$(RUN) lint-imports

.PHONY: fmt
fmt: .venv/ready  ## Format and fix what can be fixed by itself
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

.PHONY: golden
golden: .venv/ready  ## Rewrite the golden files; read the diff before you commit it
	@$(RUN) pytest -q tests/test_golden.py --golden=write
	@git diff --stat -- tests/golden

.PHONY: bench
bench: .venv/ready  ## Propagation, writes and sizes of configurations, as we promise them
	@$(RUN) python -m bench.propagation
	@$(RUN) python -m bench.writes
	@$(RUN) python -m bench.sizes

.PHONY: docs
docs: .venv/ready  ## Regenerate the pages that are made from the code
	@$(RUN) python -m weft.cli.reference commands > docs/cli.md
	@$(RUN) python -m weft.cli.reference settings > docs/settings.md
	@$(RUN) python -m weft.cli.reference checks > docs/checks.md
	@$(RUN) python -m tests.members > docs/members.md

.PHONY: lock
lock: .venv/ready  ## Lock the newest versions that pyproject.toml allows
	@$(BIN)/python -m pip install -q uv
	@$(RUN) uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header \
		--extra dev --upgrade pyproject.toml requirements-build.in -o requirements.lock

.PHONY: news
news: .venv/ready  ## Draft the changelog from changes/
	@$(RUN) towncrier build --draft --version next

.PHONY: clean
clean:  ## Remove what make made
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
