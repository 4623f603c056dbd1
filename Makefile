# Everything a user or a builder types. `make help` lists it.
#
# Both `make demo` and `make test` set up what they need themselves (tools/setup.sh): a virtual environment in
# .venv and, where they may, Debian packages.

SHELL := /bin/sh
PYTHON ?=
export PYTHON
BIN := .venv/bin
PACKAGES := mesos_v1 mesos_http wire actors executor playa mesostic examples
FUZZ_SECONDS ?= 60
MUTANTS ?= --number 40
SEED ?= 1
SEEDS ?= $(SEED)
MINUTES ?= 0.5
STORE ?= sqlite

.DEFAULT_GOAL := help
.PHONY: help demo test check format fuzz mutants chaos bench clean setup-run setup-test

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup-run ## run RENDLER, the rendering crawler, on the embedded cluster, over the site it brings
	$(BIN)/python -m examples.rendler.demo

test: setup-test check ## all checks, then all tests (pytest's closing line comes last)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: setup-test ## format, lint, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES) tools tests benchmarks
	$(BIN)/lint-imports
	$(BIN)/python tools/generate_protobuf.py --check
	$(BIN)/python tools/generate_reference.py --check

format: setup-test ## rewrite the code in the house format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

fuzz: setup-test ## attack the decoders for FUZZ_SECONDS (default 60)
	$(BIN)/python tools/fuzz.py --seconds $(FUZZ_SECONDS)

mutants: setup-test ## change the code a little and see whether its tests notice (MUTANTS="--number 40 executor")
	$(BIN)/python tools/mutants.py $(MUTANTS)

chaos: setup-test ## run a framework while everything around it is killed (SEED=7 or SEEDS=1-50, MINUTES=0.5, STORE=sqlite)
	$(BIN)/python tools/chaos.py --seeds $(SEEDS) --minutes $(MINUTES) --store $(STORE)

bench: setup-test ## measure the runtime against pykka's threads, and tasks a second
	for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean: ## remove what the other targets made
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup-run:
	@sh tools/setup.sh run

setup-test:
	@sh tools/setup.sh test
