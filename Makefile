# imgstore: video frames and their metadata, with exact random access.
#
#   make demo                 record a small scene in several formats, read it
#                             back, draw a contact sheet (a minute)
#   make demo VIDEO=clip.mp4  the same with a video of yours
#   make test                 run the tests (4 minutes on two cores);
#                             PYTEST_ARGS='...' is handed to pytest
#   make test-all             run all of them, also those that take long or
#                             install packages (15 minutes)
#   make install              only install into .venv, as each of these does
#                             when it is called first
#   make clean                remove .venv and whatever else was made here
#
# To install, Python 3.10 or newer, a C compiler and a network are needed (make
# PYTHON=/path/to/python ... names the interpreter); later calls install nothing
# unless the package's own files have changed. How to use it: README.md.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11 python3.10 python
PIP := PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check
PYTEST_ARGS ?=
VIDEO ?=

# The programs that tests start compile the package once, whatever a container sets for its own use.
unexport PYTHONDONTWRITEBYTECODE

# A line every few seconds and what was skipped, in place of 4000 dots.
BRIEF := --brief -n auto
SAY_DOWNLOAD := [ -d .interop ] || printf '%s\n' 'imgstore 0.4.0 and its packages (110 MB) are put into .interop once, for tests' 'beside it; without a network these are skipped.'

# Exit status 0 for an interpreter that will do; pyenv's and Windows' stand-ins for absent interpreters fail it too.
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))

.PHONY: help test test-all demo install clean
help:
	@sed -n -e '/^#/!q' -e 's/^# \{0,1\}//p' Makefile

test: install
	@echo 'The tests take about 4 minutes on two cores. `make test-all` has more of them.'
	$(BIN)/pytest $(BRIEF) -m 'not long' $(PYTEST_ARGS)

test-all: install
	@echo 'All tests take about 15 minutes on two cores.'
	@$(SAY_DOWNLOAD)
	$(BIN)/pytest $(BRIEF) --hypothesis-profile=imgstore-all $(PYTEST_ARGS)

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
	@rm -f $@
	@echo 'installing imgstore and what it needs into $(VENV) (200 MB, a minute or two):'
	@{ $(PIP) 'setuptools>=77' 'Cython>=3.0' && $(PIP) --no-build-isolation --editable '.[test,bloscpack]' && touch $@; } 2>&1 \
	| tee $(VENV)/install.log | while read -r word name _; do case "$$word $$name" in \
	  'Collecting '*) printf ' %s' "$${name%%[]<>=!~;[]*}" ;; \
	  'Building wheels') printf '\n compiling two small modules ...' ;; \
	  'Installing collected') printf '\n unpacking ...\n' ;; \
	esac; done
	@test -e $@ || { echo 'installing failed ($(VENV)/install.log has all of it):' >&2; tail -n 30 $(VENV)/install.log >&2; exit 1; }

clean:
	rm -rf $(VENV) .tox .interop build dist *.egg-info
