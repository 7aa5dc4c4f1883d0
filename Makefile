# `make demo` runs the main job and `make test` the tests; both make .venv first if it is not there.
# TensorFlow has wheels for Python 3.11 to 3.13: the first of these names that is one of them is taken.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo test test-edge edge-tools test-browser browser-tools lint format clean

demo: .venv/installed
	$(BIN)/keras-resnet demo $(ARGS)

test: .venv/installed
	$(BIN)/python -m pytest $(ARGS)

# The C code on simulated microcontrollers. Debian's packages are installed where they are missing.
test-edge: .venv/installed edge-tools
	$(BIN)/python -m pytest -n 0 -m edge tests/edge $(ARGS)

edge-tools:
	@command -v arm-none-eabi-gcc qemu-system-arm valgrind >/dev/null && test -n "$$(arm-none-eabi-gcc -print-file-name=rdimon.specs | grep /)" || { \
	apt-get update -q && apt-get install -qy --no-install-recommends \
		gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm valgrind; }

# The pages in headless Chromium. Debian's chromium and Python's packages are installed where they are missing.
test-browser: .venv/installed browser-tools
	$(BIN)/python -m pytest -n 0 -m browser tests/browser $(ARGS)

browser-tools: .venv/installed
	@command -v chromium >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends chromium; }
	@$(BIN)/python -c 'import axe_playwright_python' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[browser]'

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "keras-resnet needs Python 3.11, 3.12 or 3.13; name one by make PYTHON=…" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@echo "installing TensorFlow and the rest into .venv (about 2 GB; some minutes)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache
