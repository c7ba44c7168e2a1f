# Needs Python >= 3.11 and make; brings uv by itself when it is not there.
PYTHON ?= python3
UV ?= $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)

.PHONY: demo test bench lint format clean

demo: $(UV)  ## the monitor on simulated clusters: nothing to configure
	$(UV) run --frozen --no-dev milvus-import-monitor demo $(ARGS)

test: $(UV)  ## all tests, with branch coverage
	$(UV) run --frozen --group test pytest --cov --cov-report=term $(ARGS)

bench: $(UV)  ## what everything costs, beside what it could cost: docs/performance.md
	$(UV) run --frozen --group test python -m tests.bench $(ARGS)

lint: $(UV)  ## format, lint, types, import rules
	$(UV) run --frozen --group lint ruff format --check .
	$(UV) run --frozen --group lint ruff check .
	$(UV) run --frozen --group lint mypy
	$(UV) run --frozen --group lint lint-imports

format: $(UV)
	$(UV) run --frozen --group lint ruff format .
	$(UV) run --frozen --group lint ruff check --fix .

clean:
	rm -rf .venv .uv .venvs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov .coverage*

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv
