# Needs Python >= 3.11 and make; brings uv by itself when it is not there.
PYTHON ?= python3
UV ?= $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)

.PHONY: demo test reliability bench lint format docs-tables dashboards screenshots clean

demo: $(UV)  ## the monitor on simulated clusters: nothing to configure
	$(UV) run --frozen --no-dev milvus-import-monitor demo $(ARGS)

test: $(UV)  ## all tests, two files at a time, with branch coverage
	$(UV) run --frozen --group test pytest -n 2 --dist loadfile --cov --cov-report=term $(ARGS)

reliability: $(UV)  ## kills, lies and cuts in full, counted into docs/reliability.md
	$(UV) run --frozen --group test python -m tests.bench.reliability

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

docs-tables: $(UV)  ## the settings in docs/configuration.md and in the chart's schema, from monitor/config
	$(UV) run --frozen --group test python -m tests.docs_tables
	$(UV) run --frozen --group test python -m tests.values_schema

dashboards: $(UV)  ## deploy/grafana/dashboards, from deploy/grafana/source
	$(UV) run --frozen --group dashboards python -m deploy.grafana.source

screenshots: $(UV)  ## docs/images, from the demo; takes Debian's chromium
	$(UV) run --frozen --group test python -m tests.screenshots docs/images

clean:
	rm -rf .venv .uv .venvs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov .coverage*

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv
