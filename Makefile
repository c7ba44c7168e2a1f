# Requires Python >= 3.11 and make. Installs uv into .uv/ if it is missing.
PYTHON ?= python3
UV ?= $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)

.DEFAULT_GOAL := help

# The tests start the monitor hundreds of times: three times as fast where Python may keep what it has compiled.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test newest reliability bench lint format docs docs-tables dashboards screenshots clean

help:  ## list these targets
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(UV)  ## run the monitor with simulated clusters, without any configuration
	$(UV) run --frozen --no-dev milvus-import-monitor demo $(ARGS)

test: $(UV)  ## run all tests with branch coverage, or one file: make test ARGS=tests/unit/test_config.py
	$(UV) run --frozen --group test pytest $(or $(ARGS),-n 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=term)

newest: $(UV)  ## run the unit tests on the newest Python and with the newest versions of all dependencies
	tests/newest.sh $(UV)

reliability: $(UV)  ## run the reliability tests at full length, or some: ARGS="kills memory"; writes docs/reliability.md
	$(UV) run --frozen --group test python -m tests.bench.reliability $(ARGS)

bench: $(UV)  ## run the benchmarks; make bench ARGS=--write updates docs/performance.md
	$(UV) run --frozen --group test python -m tests.bench $(ARGS)

lint: $(UV)  ## check formatting, lint rules, types, import layers and workflows
	$(UV) run --frozen --group lint ruff format --check .
	$(UV) run --frozen --group lint ruff check .
	$(UV) run --frozen --group lint mypy
	$(UV) run --frozen --group lint lint-imports
	$(UV) run --frozen --group lint actionlint
	$(UV) run --frozen --group lint zizmor --offline --quiet .github

format: $(UV)  ## format the code and apply fixes of the linter
	$(UV) run --frozen --group lint ruff format .
	$(UV) run --frozen --group lint ruff check --fix .

docs: $(UV)  ## build the documentation site in build/site, and check its links
	$(UV) run --frozen --group docs python -m tests.docs_site

docs-tables: $(UV)  ## generate the settings in docs/configuration.md and in values.schema.json from monitor/config
	$(UV) run --frozen --group test python -m tests.docs_tables
	$(UV) run --frozen --group test python -m tests.values_schema
	$(UV) run --frozen --group test python -m tests.chart_readme

dashboards: $(UV)  ## generate deploy/grafana/dashboards from deploy/grafana/source
	$(UV) run --frozen --group dashboards python -m deploy.grafana.source

screenshots: $(UV)  ## generate docs/images from the demo; requires chromium
	$(UV) run --frozen --group test python -m tests.screenshots docs/images

clean:  ## delete everything that can be generated again
	rm -rf .venv .uv .venvs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov .coverage*

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv
