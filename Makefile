# The commands of the project. `make demo` and `make test` need nothing but make and Python 3.10 or
# newer: what else the machine lacks is installed first, or the line that installs it is printed.
#
# Another Python goes side by side in an environment of its own:
#     make test PYTHON=python3.12 VENV=.venv-3.12
# PYTHON counts when VENV is made. ARGS is handed to pytest, or to the benchmarks.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
EDITABLE = $(PIP) install --quiet --no-build-isolation --only-binary scipy --editable

SOURCES = setup.py pyproject.toml $(wildcard ffi/*.pyx ffi/*.pxd ffi/*.[chS])

# Stamps: the environment's and those of what is installed in it live and die with it; the build's
# goes with `make clean`.
ENV = $(VENV)/.made
BUILT = build/$(subst /,_,$(VENV)).built
extra = $(VENV)/.extra-$(1)

# Files of tests that may run beside themselves.
THREADS = $(addprefix tests/test_,$(addsuffix .py,threads function_threads))

.PHONY: demo test nogil numba build lint types docs bench pythons platforms sanitize wheel bare clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

demo: $(BUILT)
	$(BIN)/python examples/demo.py

test: $(BUILT) $(call extra,test)
	$(BIN)/python -m pytest $(ARGS)

# For a Python without the GIL: the tests, then those of threads on four threads at once.
nogil: $(BUILT) $(call extra,nogil)
	$(BIN)/python -m pytest $(ARGS)
	$(BIN)/python -m pytest --parallel-threads=4 $(THREADS)

# Beside numba, which may put an older NumPy into the environment.
numba: $(BUILT) $(call extra,test)
	$(PIP) install --quiet numba
	$(BIN)/python -m pytest tests/test_numba.py

build: $(BUILT)

lint: $(BUILT) $(call extra,lint)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(abspath $(BIN)):$$PATH" cython-lint ffi tests docs benchmarks
	FFI_WERROR=1 $(BIN)/python setup.py -q build_ext \
	    --build-lib $(BUILT:.built=.werror) --build-temp $(BUILT:.built=.werror)

types: $(BUILT) $(call extra,lint)
	$(BIN)/python -m mypy
	$(BIN)/python -m mypy.stubtest --allowlist tools/stubtest-allowlist.txt \
	    --ignore-unused-allowlist ffi

docs: $(BUILT) $(call extra,docs)
	$(BIN)/python -m sphinx -q -W --keep-going -n -b html docs docs/_build/html

bench: $(BUILT) $(call extra,bench)
	$(BIN)/python benchmarks/run.py $(ARGS)

# On every Python that is installed: a line for each.
pythons:
	sh tools/pythons.sh $(ARGS)

# Under gcc's sanitizers and valgrind: long.
sanitize: sanitize-address sanitize-thread sanitize-valgrind

sanitize-%: $(BUILT) $(call extra,test)
	PYTHON=$(abspath $(BIN))/python sh tools/sanitize.sh $* $(ARGS)

# On another architecture, platform-arm64 for one, as root: tools/platform.sh tells which and how.
platform-%: $(ENV)
	PYTHON=$(abspath $(BIN))/python sh tools/platform.sh $* sh -c 'python3 setup.py -q build_ext \
	    --inplace --build-temp build/temp && exec python3 -m pytest "$$@"' sh $(ARGS)

# On all of them: a line for each, in two hours.
platforms: $(ENV)
	PYTHON=$(abspath $(BIN))/python sh tools/platforms.sh $(ARGS)

# The wheel contains libffi, and runs where there is none: `make bare` proves it, as root, on Debian.
wheel: $(BUILT) $(call extra,dist)
	rm -rf dist
	FFI_STATIC_LIBFFI=1 CFLAGS="$(CFLAGS) -g0" $(BIN)/python -m build --no-isolation
	$(BIN)/python tools/check_wheel.py dist/*.whl

bare:
	PYTHON=$(abspath $(BIN))/python sh tools/bare.sh

clean:
	rm -rf build dist docs/_build docs/generated *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f ffi/*.so
	find ffi tests docs benchmarks examples tools -name __pycache__ -prune -exec rm -r {} +

# What pyproject.toml names as build requirements goes into the environment too: builds there are
# incremental, because they run without pip's isolation.
$(ENV): pyproject.toml tools/bootstrap.sh
	sh tools/bootstrap.sh $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	sed -n 's/^requires = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '" ' | tr , '\n' > $@.txt
	$(PIP) install --quiet -r $@.txt
	touch $@

$(BUILT): $(ENV) $(SOURCES)
	$(EDITABLE) .
	mkdir -p $(@D)
	touch $@

$(VENV)/.extra-%: pyproject.toml | $(BUILT)
	$(EDITABLE) '.[$*]'
	touch $@
