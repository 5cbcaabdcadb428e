# The entry points people type. `make` lists them. Everything else is called from here.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The Node.js in use: the system's when it is new enough, else the one that `make setup` fetched. Asked for only when a recipe runs.
NODE = $(shell test/bench/find-node)
TSC = $(NODE) node_modules/typescript/bin/tsc
BIOME = $(NODE) node_modules/@biomejs/biome/bin/biome
BENCH_RUN = NODE=$(NODE) test/bench/run

SOURCES := $(shell find controller schemas test -name '*.ts' -o -name '*.json') tsconfig.json package.json
ARGS ?=

##@ Two commands that need nothing typed before them
.PHONY: demo test
demo: build ## the handover tour in the test bench; options through ARGS, e.g. ARGS=--json
	@$(BENCH_RUN) -- $(NODE) build/test/demo/main.js $(ARGS)
test: build lint ## everything: lint, unit tests, kernel tests in the bench
	@$(NODE) build/test/runner/all.js

##@ Parts of them
.PHONY: setup build native check lint format test-unit test-kernel
setup: ## install what is missing: Debian packages (as root), Node.js, npm packages
	@test/bench/setup
build: build/.compiled native ## compile what changed
build/.compiled: $(SOURCES) | setup
	@echo "tsc"
	@$(TSC) --incremental --tsBuildInfoFile build/.tsbuildinfo
	@touch $@
native: | setup
	@$(MAKE) -C native
check: build lint ## types, lint, format, layering
	@$(NODE) build/test/runner/unit.js layering
lint: | setup
	@$(BIOME) check --error-on-warnings
format: ## let biome write the format
	@$(BIOME) check --write
test-unit: build ## unit tests only; ARGS='word …' selects files by path
	@$(NODE) build/test/runner/unit.js $(ARGS)
test-kernel: build ## kernel tests only, in the bench; ARGS='word …' selects files by path
	@$(NODE) build/test/runner/kernel.js $(ARGS)

.PHONY: clean help
clean: ## remove what was built; the downloads in .cache stay
	@rm -rf build build-* artifacts
	@$(MAKE) -C native clean
help:
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
