# The first thing a newcomer runs: `make demo`, then `make test`. Everything they need is set up in $(VENV).
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Most tests wait for processes and brokers most of the time: more of them than processors run at once.
JOBS   ?= 4
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# For Linux and macOS, Python 3.11 and newer; what lies on this machine (UV_FIND_LINKS) stays out of the lock.
COMPILE = UV_FIND_LINKS= UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help setup lock demo test unit test-newest test-lowest check format chaos soak conformance fuzz bench clean

help:  ## show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY)  ## create the virtual environment and install everything into it

$(READY): pyproject.toml requirements/build.txt requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "longreach needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make $(MAKECMDGOALS) PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --only-binary :all: -r requirements/build.txt
	$(PIP) --require-hashes --no-build-isolation -r requirements/dev.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(READY)

lock: $(READY)  ## lock what pyproject.toml asks for, keeping versions that still fit; UPGRADE=1 takes the newest
	$(COMPILE) pyproject.toml --extra all --group dev --group build --constraint requirements/constraints.txt \
		--output-file requirements/dev.txt
	$(COMPILE) --group build --constraint requirements/dev.txt --output-file requirements/build.txt

demo: $(READY)  ## three nodes in two regions, a kill and a drain in the middle, no call lost
	$(BIN)/longreach demo

test: $(READY)  ## all tests, against a real broker; no test asserts a speed
	$(BIN)/python -m pytest tests/unit tests/property -n 2 --dist worksteal
	$(BIN)/python -m pytest tests --ignore tests/unit --ignore tests/property -n $(JOBS) --dist loadgroup

# Rewritten test files are kept between runs, also where Python was told to write none.
unit test test-newest test-lowest: export PYTHONDONTWRITEBYTECODE :=

unit: $(READY)  ## the tests that take milliseconds
	$(BIN)/python -m pytest tests/unit -n 2 --dist worksteal

# Neither is part of CI: what somebody else's new release breaks must not stop a change of ours.
test-newest: $(READY)  ## unit and property tests with the newest versions that pyproject.toml allows
	$(call test-resolved,newest,--upgrade --group dev)

test-lowest: $(READY)  ## unit and property tests with the lowest versions that pyproject.toml allows
	$(call test-resolved,lowest,--resolution lowest-direct --group test)

define test-resolved
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-$(1)
	$(BIN)/uv pip install --quiet --python $(VENV)-$(1)/bin/python $(2) --editable ".[all]"
	$(VENV)-$(1)/bin/python -m pytest tests/unit tests/property -n 2 --dist worksteal
endef

check: $(READY)  ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## put the code into its one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

chaos: export LONGREACH_TIMED := 1
chaos: $(READY)  ## nodes, brokers and regions killed, stopped and cut off under load, and all times; one table
	$(BIN)/python -m pytest tests -m timed --ignore tests/chaos
	LONGREACH_ROUNDS=20 LONGREACH_BROKER_ROUNDS=6 LONGREACH_REGION_ROUNDS=3 LONGREACH_DRAINS=100 \
	LONGREACH_EDGE_ROUNDS=5 LONGREACH_STOP_S=20 LONGREACH_OVERLOAD_S=60 LONGREACH_UPGRADES=4 LONGREACH_BURST_ROUNDS=8 \
	LONGREACH_JWT_LIFE_S=60 LONGREACH_JWT_RUN_S=600 \
	$(BIN)/python -m pytest tests/chaos -n 2 --dist loadgroup --timeout 600

conformance: $(READY)  ## the official suite, both eras, through two gateways and two replicas
	$(BIN)/python -m tests.conformance

soak: $(READY)  ## ten minutes of random faults under load: each call ends once, and nothing grows
	LONGREACH_SOAK_S=600 $(BIN)/python -m pytest tests/chaos/test_soak.py -s --timeout 1800

fuzz: $(READY)  ## 100,000 wrong requests at a gateway, a million garbled messages at all: nothing stops or leaks
	LONGREACH_FUZZ=100000 $(BIN)/python -m pytest tests/integration/gateway/test_fuzz.py -s
	LONGREACH_GARBLED=1000000 $(BIN)/python -m pytest tests/attacks/test_garbled.py -s

bench: $(READY)  ## speed, compared with bare nats-py within one run
	$(BIN)/python -m benchmarks

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) $(VENV)-newest $(VENV)-lowest .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
