# Every command of the project. `make` alone lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
SOURCES := operator/registry_operator registry_runtime local_cluster quickstart release tests benchmarks
# Tests start many a Python: what is compiled once is read by the next.
unexport PYTHONDONTWRITEBYTECODE
STAMP := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml 2>/dev/null | sha256sum | cut -c1-16)

.PHONY: help up down kubeconfig test setup parts check unit inside outside beside zones operator cluster cluster-and-faults e2e faults bench bench-access bench-changes bench-failover bench-many bench-fleet bench-peers crds docs links release lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: setup ## the main job: set up everything, start the three-zone cluster, push an image, pull it in every zone
	@$(RUN) -m quickstart up

down: setup ## remove every trace of `make up`
	@$(RUN) -m quickstart down

kubeconfig: setup ## print the path of the kubeconfig
	@$(RUN) -m quickstart kubeconfig

test: setup ## set up everything and pass all tests, the cluster's included
	@$(RUN) -m local_cluster.build
	@$(SIDE_BY_SIDE) check $(LONGEST_FIRST)

setup: $(STAMP) ## the virtual environment, from the lock file
$(STAMP): requirements.lock pyproject.toml
	@echo "== virtual environment $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("Roadstead needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
	    || { apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null && $(PYTHON) -m venv $(VENV); }
	@$(RUN) -m pip install --quiet --no-deps --no-compile --require-hashes --requirement requirements.lock
	@$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.installed-*; touch $@

parts: setup ## build the local cluster's programs and the images
	@$(RUN) -m local_cluster.build

check: setup ## format, lint, types and the direction of imports
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy $(SOURCES)
	@$(VENV)/bin/lint-imports

# Tests wait much: for storage, for leases, for nodes that are lost. So JOBS processes share the CPUs. The parts are
# there before: who had to look for them would come after those that need no cluster.
JOBS := 4
SIDE_BY_SIDE = $(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=line --assume-old=parts
PYTEST := $(RUN) -m pytest -p no:cacheprovider

# In the order in which they begin. No more than three clusters at a time: each needs 38 inotify instances, a user has
# 128, and tests/cluster has two: so faults come after it.
LONGEST_FIRST := e2e operator cluster-and-faults inside outside beside

unit: setup ## the tests that need no cluster, side by side
	@$(SIDE_BY_SIDE) inside outside beside
inside: setup
	@$(PYTEST) tests/unit tests/fuzz
outside: setup
	@$(PYTEST) tests/api
beside: setup
	@$(PYTEST) tests/contract tests/clients

zones: parts ## the tests of the operator, of the cluster and of faults, and end to end, side by side
	@$(SIDE_BY_SIDE) e2e operator cluster-and-faults
cluster-and-faults: parts
	@$(PYTEST) tests/cluster
	@$(PYTEST) tests/faults
operator: parts ## the tests of the operator on a real API server
	@$(PYTEST) tests/operator
cluster: parts ## the tests of the local cluster
	@$(PYTEST) tests/cluster
e2e: parts ## the end-to-end tests on three zones
	@$(PYTEST) tests/e2e
faults: parts ## what dies under load: replicas, zones, the API server; and a soak of everything at once
	@$(PYTEST) tests/faults

bench: parts ## measure, and print a table
	@$(RUN) -m benchmarks

bench-access: setup ## measure decisions, logins and memory with 10,000 tokens
	@$(RUN) -m benchmarks.access

bench-changes: parts ## measure what each change costs clients: scaling, keys, certificates, zones (options: ARGS)
	@$(RUN) -m benchmarks.changes $(ARGS)

bench-failover: parts ## measure how long nobody works after a kill and a clean stop of the operator (options: ARGS)
	@$(RUN) -m benchmarks.failover $(ARGS)

bench-many: parts ## measure 10,000 tokens and 1,000 namespaces in one Registry on the cluster
	@$(RUN) -m benchmarks.many $(ARGS)

bench-fleet: parts ## grow a fleet to 10, 100 and 1,000 Registries and measure the operator (ARGS="--sizes 10 100")
	@$(RUN) -m benchmarks.fleet $(ARGS)

bench-peers: setup ## measure the runtime beside CNCF Distribution, and print ratios (options: ARGS)
	@$(RUN) -m benchmarks.peers $(ARGS)

crds: setup ## write crds/ and docs/fields.md from the models, and manifests/chart from manifests/
	@$(RUN) -m registry_operator.crd crds
	@$(RUN) -m registry_operator.reference docs
	@$(RUN) -m release chart

release: setup ## images, install.yaml and Helm chart by digest into dist/ (TO=example.com/roadstead)
	@$(RUN) -m release bundle $(TO)

docs: setup ## write the pages of docs/ that are printed from the code
	@$(RUN) -m registry_operator.reference docs

links: setup ## check the documentation: links, anchors, commands, YAML, examples, printed pages
	@$(PYTEST) -q tests/unit/test_links.py tests/unit/test_examples.py tests/unit/test_reference.py

LOCK := uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
    --no-emit-find-links --no-annotate pyproject.toml
lock: setup ## write the lock files from pyproject.toml: for every machine, and for the images' Python on Linux
	@$(VENV)/bin/$(LOCK) --universal --all-extras --output-file requirements.lock
	@for extra in operator "runtime --extra tracing"; do $(VENV)/bin/$(LOCK) --python-platform linux --extra $$extra \
	    --constraint requirements.lock --output-file images/requirements-$${extra%% *}.lock; done

clean: ## forget what was built (the next `make up` builds it again)
	@rm -rf "$${ROADSTEAD_CACHE:-$$HOME/.cache/roadstead}" $(VENV)
