# Two commands on a fresh machine: `make demo` and `make test`. They stand for these lines:
#   demo:  python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/fer-edge demo:
#   test:  python3 -m venv .venv-dev && .venv-dev/bin/pip install -e '.[dev]', then the lines under `lint` and `test`
# While you work: `make check` for lint, types and the tests of what you changed, and `make format`.
PYTHON ?= python3
SOURCES := pyproject.toml $(shell find edge_runtime models/fer_models train export -type f -not -path '*/__pycache__/*')
DEV := .venv-dev/bin
# The virtual environment $(1), or one line that says what is missing: Debian's python3 comes without venv.
VENV_PACKAGE = $(notdir $(PYTHON))-venv
define make_venv
	@command -v $(PYTHON) > /dev/null || { echo '$(PYTHON) is not installed: sudo apt-get install $(VENV_PACKAGE)'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$$($(PYTHON) --version) is too old: name a Python of 3.11 or newer, as in make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
		echo '$(PYTHON) has no venv: sudo apt-get install $(VENV_PACKAGE)'; exit 1; }
	$(PYTHON) -m venv $(1)
endef

.PHONY: demo docs release-check test check test-slow container-check test-opencv5 audit lint format bench report pi clean

# An animation of it: make demo ARGS='--output demo.webp'
demo: .venv/installed
	.venv/bin/fer-edge demo: $(ARGS)
	@echo 'Next: .venv/bin/fer-edge photo.jpg | .venv/bin/fer-edge (camera 0) | .venv/bin/fer-edge demo: --output demo.webp'

# The whole suite without the tests marked slow.
test: lint
	@echo 'The suite takes about 9 minutes on two idle cores.'
	$(DEV)/python -m pytest

# Lint, types and the tests of what changed since this branch left main; BASE=COMMIT compares with another commit.
check: lint
	$(DEV)/python -m pytest -q $$($(DEV)/python tests/select_tests.py $(BASE))

test-slow: .venv-dev/installed
	$(DEV)/python -m pytest -m slow

# Known faults of the installed packages, where the package index serves advisories. The tool has its own environment.
AUDIT_UNAVAILABLE = the package index serves no advisories here: run make audit with another one (PIP_INDEX_URL)
audit: .venv-dev/installed
	$(call make_venv,build/audit)
	build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit || { echo 'pip-audit: not in this package index'; exit 1; }
	$(DEV)/python -m pip freeze --exclude-editable > build/audit/packages.txt
	@build/audit/bin/pip-audit --no-deps --disable-pip -r build/audit/packages.txt \
		> build/audit/found.txt 2> build/audit/errors.txt; code=$$?; \
		if grep -qE 'ConnectionError|HTTPError|ServiceError|Max retries|Failed to|could not be audited' \
			build/audit/found.txt build/audit/errors.txt; then echo 'audit: $(AUDIT_UNAVAILABLE)'; exit 1; fi; \
		cat build/audit/found.txt build/audit/errors.txt; exit $$code

# deploy/Containerfile without a container engine: its steps run in a throw-away Debian (needs root, apt's debootstrap and
# a network; about four minutes). `make test-slow` does the same where it can.
container-check: .venv-dev/installed
	$(DEV)/python -m pytest -m slow -rP tests/packaging/test_container.py

# The runtime with OpenCV 5. Everything else is tested with OpenCV 4, which still has the Haar cascades.
test-opencv5: .venv-opencv5/installed
	.venv-opencv5/bin/python -m pytest tests/edge

# Before a release: the built files twice, installed under each Python at hand with the newest and the oldest allowed
# dependencies; hashes and an SBOM go into dist/. Takes some minutes.
release-check:
	$(PYTHON) .ci/release_check.py

# The documentation as a site, from build/docs/index.html. Warnings, such as a broken link, are errors.
docs: .venv-dev/installed
	$(DEV)/sphinx-build -W --keep-going -q -b html docs build/docs
	@echo 'Open build/docs/index.html.'

lint: .venv-dev/installed
	@echo 'Lint takes seconds; types take about a minute at first.'
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy

format: .venv-dev/installed
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

# All benchmarks at a small size into $(BENCH). DATA=fer2013.csv, FERPLUS=fer2013new.csv, PEOPLE=folder, TILES=folder,
# MEDIA=folder (for the detectors) and YUNET=file.onnx add what needs them, PEERS="fer deepface" adds other people's
# recognizers.
BENCH ?= build/bench
bench: .venv-dev/installed
	$(DEV)/python -m benchmarks.run_all --out $(BENCH) $(if $(DATA),--data $(DATA)) \
		$(if $(FERPLUS),--ferplus $(FERPLUS)) $(if $(PEOPLE),--people $(PEOPLE)) $(if $(TILES),--tiles $(TILES)) \
		$(if $(MEDIA),--media $(MEDIA)) $(if $(YUNET),--yunet $(YUNET)) $(PEERS:%=--peer %)

# docs/benchmarks.md from the results of `make bench`; AGAIN=DIR compares them with those of a second run.
report: .venv-dev/installed
	$(DEV)/python -m benchmarks.report $(BENCH) $(if $(AGAIN),--again $(AGAIN))

# The runtime under aarch64 emulation as a Pi 4 and a Pi 5, compared with this machine (needs root once, and apt's
# debootstrap and qemu-user-static). `make pi DATA=fer2013.csv YUNET=face_detection_yunet_2023mar.onnx` compares more.
pi: .venv-dev/installed
	nice -n 10 $(DEV)/python -m benchmarks.raspberry_pi.emulate --json .pi/pi.json \
		$(if $(DATA),--data $(DATA)) $(if $(YUNET),--yunet $(YUNET))

# The light runtime, as on a device: reinstalled when a source file changes.
.venv/installed: $(SOURCES)
	@echo 'Installing the runtime into .venv: about a minute.'
	$(call make_venv,.venv)
	.venv/bin/pip install --quiet --disable-pip-version-check .
	touch $@

# Everything, editable: reinstalled when a dependency changes.
.venv-dev/installed: pyproject.toml
	@echo 'Installing everything into .venv-dev, torch too: some minutes, and up to 6 GB of disk.'
	$(call make_venv,.venv-dev)
	.venv-dev/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(DEV)/python -c 'import cv2' 2> /dev/null || { \
		echo "OpenCV can't be loaded, most often for want of: sudo apt-get install libgl1 libglib2.0-0"; exit 1; }
	touch $@

.venv-opencv5/installed: pyproject.toml
	$(call make_venv,.venv-opencv5)
	.venv-opencv5/bin/pip install --quiet --disable-pip-version-check -e '.[analysis,mqtt,web]' 'opencv-python>=5' 'tqdm>=4.66' 'pytest>=8.3' 'hypothesis>=6.100' 'onnx>=1.18' \
		'jsonschema>=4.20' 'pyyaml>=6' 'jinja2>=3' 'gpiozero>=2'
	touch $@

clean:
	rm -rf .venv .venv-dev .venv-opencv5 .pi dist build .mypy_cache .ruff_cache .pytest_cache
