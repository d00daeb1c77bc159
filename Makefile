# Each target does its own set-up in .venv: no root, no ROS, no Gazebo, no GPU needed.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out/demo
CITY ?=
STEPS ?=
# Test processes side by side: many tests wait for DDS, so one more than two cores.
JOBS ?= 3
# File by file, in the order of pyproject.toml: what takes long begins first, so that all workers end together.
SPREAD := --dist loadfile --no-loadscope-reorder
PACKAGES := occ_core occ_ros tokyo_city tokyo_sim occ_recorder occworld_infer tokyo_occworld
BIN := $(VENV)/bin
# Nodes that these targets start see each other and nothing else on the network.
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST

.PHONY: demo test test-slow test-nightly test-all bench lint docs setup dev clean

demo: setup
	$(BIN)/tokyo demo --out $(OUT) $(if $(STEPS),--steps $(STEPS)) $(if $(CITY),--city-source $(CITY))

test: setup
	$(BIN)/python -m pytest -n $(JOBS) $(SPREAD) $(PYTEST_ARGS)

# One test after the other to whoever is free: a single file of these takes longer than all others.
test-slow test-nightly: test-%: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m $* $(PYTEST_ARGS)

test-all: setup
	$(BIN)/python -m pytest -n $(JOBS) $(SPREAD) -m "" $(PYTEST_ARGS)

bench: setup
	$(BIN)/python -m bench $(BENCH) $(if $(AGAINST),--against $(AGAINST))

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: dev
	$(BIN)/python scripts/build_docs.py

setup: $(VENV)/.done

# What only developers need: linters, colcon, what checks docker/.
dev: $(VENV)/.dev

$(VENV)/.dev: requirements-dev.lock $(VENV)/.done
	$(BIN)/pip install -q --disable-pip-version-check -r requirements-dev.lock
	touch $@

$(VENV)/.done: requirements.lock scripts/build_messages.sh Makefile $(PACKAGES:%=ros2_ws/src/%/setup.py) \
    learner/setup.py learner/pyproject.toml $(wildcard ros2_ws/src/occ_msgs/msg/*.msg)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "CPython 3.10 to 3.13 is needed, $(PYTHON) is $$($(PYTHON) --version): make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -r requirements.lock
	scripts/build_messages.sh $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation --use-pep517 \
	  $(PACKAGES:%=-e ros2_ws/src/%) -e learner
	touch $@

clean:
	rm -rf $(VENV) out
