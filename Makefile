# Needs Python >= 3.11 and make; brings uv by itself when it is not there.
PYTHON ?= python3
UV ?= $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)

.PHONY: demo test newest reliability bench lint format docs-tables dashboards screenshots clean

demo: $(UV)  ## run the monitor on simulated clusters: nothing to configure
	$(UV) run --frozen --no-dev milvus-import-monitor demo $(ARGS)

test: $(UV)  ## run all tests with branch coverage; make test ARGS=tests/unit/test_config.py runs one file without
	$(UV) run --frozen --group test pytest $(or $(ARGS),-n 2 --dist loadfile --cov --cov-report=term)

newest: $(UV)  ## run the unit tests with the newest versions of all dependencies, not the locked ones
	tests/newest.sh $(UV)

reliability: $(UV)  ## run the kills, lies and cuts in full, and count them in docs/reliability.md
	$(UV) run --frozen --group test python -m tests.bench.reliability

bench: $(UV)  ## measure what everything costs: docs/performance.md
	$(UV) run --frozen --group test python -m tests.bench $(ARGS)

lint: $(UV)  ## check format, lint, types and import rules
	$(UV) run --frozen --group lint ruff format --check .
	$(UV) run --frozen --group lint ruff check .
	$(UV) run --frozen --group lint mypy
	$(UV) run --frozen --group lint lint-imports

format: $(UV)
	$(UV) run --frozen --group lint ruff format .
	$(UV) run --frozen --group lint ruff check --fix .

docs-tables: $(UV)  ## generate the settings in docs/configuration.md and in the chart's schema, from monitor/config
	$(UV) run --frozen --group test python -m tests.docs_tables
	$(UV) run --frozen --group test python -m tests.values_schema

dashboards: $(UV)  ## generate deploy/grafana/dashboards from deploy/grafana/source
	$(UV) run --frozen --group dashboards python -m deploy.grafana.source

screenshots: $(UV)  ## make docs/images from the demo; needs Debian's chromium
	$(UV) run --frozen --group test python -m tests.screenshots docs/images

clean:
	rm -rf .venv .uv .venvs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov .coverage*

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv
