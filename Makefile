# Two commands on a fresh machine: `make demo` and `make test`. What they stand for, in plain pip:
#   demo:  python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/fer-edge --source demo:
#   test:  python3 -m venv .venv-dev && .venv-dev/bin/pip install -e '.[dev]', then the lines under `test`
PYTHON ?= python3
SOURCES := pyproject.toml $(shell find edge_runtime models/fer_models train export -type f -not -path '*/__pycache__/*')
DEV := .venv-dev/bin

.PHONY: demo test test-slow lint format clean

demo: .venv/installed
	.venv/bin/fer-edge --source demo:

test: lint
	$(DEV)/python -m pytest

test-slow: .venv-dev/installed
	$(DEV)/python -m pytest -m slow

lint: .venv-dev/installed
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy

format: .venv-dev/installed
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

# The light runtime, as a device has it: reinstalled when a source changes.
.venv/installed: $(SOURCES)
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check .
	touch $@

# Everything, editable: only new dependencies need another install.
.venv-dev/installed: pyproject.toml
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-dev dist build .mypy_cache .ruff_cache .pytest_cache
