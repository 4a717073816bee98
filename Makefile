# make test                run the tests
# make test-all            run all of them, also those that take long
# make demo                record a small scene into a store, read it back, draw a contact sheet
# make demo VIDEO=clip.mp4 the same with a video of yours
#
# Everything is installed into .venv on the first call, which needs Python 3.10 or newer, a C compiler and a network
# (PYTHON=/path/to/python names an interpreter). Later calls install nothing unless the package's own files say so.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHONS := python3 python3.13 python3.12 python3.11 python3.10 python
PYTEST_ARGS ?=
VIDEO ?=

# Exit status 0 for an interpreter that will do; pyenv's and Windows' stand-ins for absent interpreters fail it too.
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))

.PHONY: help test test-all demo install clean
help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -n 7

test: install
	$(BIN)/pytest -n auto -m 'not long' $(PYTEST_ARGS)

test-all: install
	$(BIN)/pytest -n auto $(PYTEST_ARGS)

demo: install
	$(BIN)/python examples/demo.py $(if $(VIDEO),"$(VIDEO)")

install: $(VENV)/installed

$(VENV)/made:
	@python=; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",$(PYTHONS)); do \
	  if "$$candidate" -c '$(SUITABLE)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'imgstore needs Python 3.10 or newer with its venv module, and none of these is that:' >&2; \
	  echo '  $(if $(PYTHON),$(PYTHON),$(PYTHONS))' >&2; \
	  echo 'Install one (on Debian and Ubuntu: apt install python3 python3-venv python3-dev), or name one: make PYTHON=/path/to/python' >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$python" -c 'import sys; print(sys.version.split()[0], sys.executable)')"; \
	rm -rf $(VENV) && "$$python" -m venv $(VENV)
	@touch $@

# Built without isolation, with the build requirements in .venv, so that a change can be built without a network.
$(VENV)/installed: $(VENV)/made pyproject.toml setup.py $(wildcard src_ext/*) imgstore/_version.py
	@if ! command -v "$${CC:-cc}" >/dev/null 2>&1 && ! command -v gcc >/dev/null 2>&1; then \
	  echo 'imgstore compiles two small modules and finds no C compiler (on Debian and Ubuntu: apt install build-essential)' >&2; \
	  exit 1; \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'setuptools>=77' 'Cython>=3.0'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[test,bloscpack]'
	@touch $@

clean:
	rm -rf $(VENV) .tox .interop build dist *.egg-info
