# Two commands on a fresh machine: `make demo` and `make test`. What they stand for, in plain pip:
#   demo:  python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/fer-edge --source demo:
#   test:  python3 -m venv .venv-dev && .venv-dev/bin/pip install -e '.[dev]', then the lines under `test`
PYTHON ?= python3
SOURCES := pyproject.toml $(shell find edge_runtime models/fer_models train export -type f -not -path '*/__pycache__/*')
DEV := .venv-dev/bin

.PHONY: demo test test-slow test-opencv5 lint format bench report pi clean

demo: .venv/installed
	.venv/bin/fer-edge --source demo:

test: lint
	$(DEV)/python -m pytest

test-slow: .venv-dev/installed
	$(DEV)/python -m pytest -m slow

# The runtime as a device with the newest OpenCV has it; everything else is tested with OpenCV 4, for its Haar cascades.
test-opencv5: .venv-opencv5/installed
	.venv-opencv5/bin/python -m pytest tests/edge

lint: .venv-dev/installed
	$(DEV)/ruff check .
	$(DEV)/ruff format --check .
	$(DEV)/mypy

format: .venv-dev/installed
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

# All benchmarks at a small size into $(BENCH); DATA=fer2013.csv, MEDIA=folder (for detector.py) and YUNET=file.onnx
# add what needs them, PEERS="fer deepface" other people's recognisers.
BENCH ?= build/bench
bench: .venv-dev/installed
	$(DEV)/python -m benchmarks.run_all --out $(BENCH) $(if $(DATA),--data $(DATA)) \
		$(if $(MEDIA),--media $(MEDIA)) $(if $(YUNET),--yunet $(YUNET)) $(PEERS:%=--peer %)

# docs/benchmarks.md from what `make bench` measured; AGAIN=DIR compares it with a second run.
report: .venv-dev/installed
	$(DEV)/python -m benchmarks.report $(BENCH) $(if $(AGAIN),--again $(AGAIN))

# The runtime under aarch64 emulation as a Pi 4 and a Pi 5, compared with this machine (needs root once, and apt's
# debootstrap and qemu-user-static). `make pi DATA=fer2013.csv YUNET=face_detection_yunet_2023mar.onnx` asks more.
pi: .venv-dev/installed
	nice -n 10 $(DEV)/python -m benchmarks.raspberry_pi.emulate --json .pi/pi.json $(if $(DATA),--data $(DATA)) $(if $(YUNET),--yunet $(YUNET))

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

.venv-opencv5/installed: pyproject.toml
	$(PYTHON) -m venv .venv-opencv5
	.venv-opencv5/bin/pip install --quiet --disable-pip-version-check -e . 'opencv-python>=5' 'pytest>=8.3' 'hypothesis>=6.100' 'onnx>=1.18'
	touch $@

clean:
	rm -rf .venv .venv-dev .venv-opencv5 .pi dist build .mypy_cache .ruff_cache .pytest_cache
