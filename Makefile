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
# Files whose properties take DSMIPD_RUNS.
RANDOM_TESTS = sim/property sim/home-agents sim/kernel-objects home-agent/properties mobile-node/lifecycle

##@ Two commands that need nothing typed before them
.PHONY: demo test
demo: build ## the handover tour in the test bench; options through ARGS: --json, --keep, --help
ifeq (,$(filter --keep,$(ARGS)))
	@$(BENCH_RUN) -- $(NODE) build/test/demo/main.js $(ARGS)
else # what stays up needs a bench that stays up
	@$(BENCH_RUN) up
	@$(BENCH_RUN) --attach --open -- $(NODE) build/test/demo/main.js $(ARGS)
	@echo; echo "All that is in the bench. To enter it: test/bench/run --attach --shell      To end it: make bench-down"
endif
test: build lint ## everything: lint, unit tests, kernel tests in the bench, the demo
	@$(NODE) build/test/runner/all.js

##@ Parts of them
.PHONY: setup build native check lint format schemas test-unit test-kernel test-full simulate
setup: ## install what is missing: Debian packages (as root), Node.js, npm packages
	@test/bench/setup
build: build/.compiled native ## compile what changed
build/.compiled: $(SOURCES) | setup
	@echo "tsc"
	@$(TSC) --incremental --tsBuildInfoFile build/.tsbuildinfo
	@touch $@
native: | setup
	@$(MAKE) -s -C native
check: build lint ## types, lint, format, layering
	@$(NODE) build/test/runner/unit.js layering
lint: | setup
	@$(BIOME) check --error-on-warnings
format: ## let biome write the format
	@$(BIOME) check --write
schemas: build ## write the JSON Schemas and the OpenAPI document from schemas/*.ts
	@$(NODE) build/schemas/generate.js schemas
test-unit: build ## unit tests only; ARGS='word …' selects files by path
	@$(NODE) build/test/runner/unit.js $(ARGS)
test-kernel: build ## kernel tests only, in the bench; ARGS='word …' selects files by path
	@$(NODE) build/test/runner/kernel.js $(ARGS)
test-full: build ## all kernel tests, the long ones (*.full.test.ts) too, in the vm on both kernels, or on KERNEL=6.1|6.12, and `simulate`; ARGS as above
	@status=0; $(if $(ARGS),,$(MAKE) simulate || status=1;) for series in $(or $(KERNEL),6.1 6.12); do \
	  BENCH=$${BENCH:-vm} KERNEL=$$series $(NODE) build/test/runner/kernel.js --full $(ARGS) || status=1; \
	done; exit $$status

simulate: build ## 10,000 random schedules and message sequences each for home agents and nodes; RUNS=N, SEED=N
	@DSMIPD_RUNS=$(or $(RUNS),10000) $(if $(SEED),DSMIPD_SEED=$(SEED)) $(NODE) build/test/runner/unit.js $(RANDOM_TESTS)

##@ The bench: a kernel that has the tunnels (BENCH=native|um|vm, KERNEL=6.1|6.12; `test/bench/run --help`)
.PHONY: bench-up bench-down bench-shell um-kernel vm-kernel
bench-up: build ## start a bench that stays up, for `test/bench/run --attach -- COMMAND`
	@$(BENCH_RUN) up
bench-down: ## end it
	@$(BENCH_RUN) down
bench-shell: build ## a root shell in a bench of its own
	@$(BENCH_RUN) --shell
um-kernel: | setup ## build the User Mode Linux kernel (the fast bench) from Debian's source package
	@test/bench/um-kernel
vm-kernel: | setup ## fetch Debian's stock kernel (KERNEL=6.1|6.12) for the vm bench
	@test/bench/vm-kernel $(KERNEL)

##@ Measurements and reports
.PHONY: bench requirements conformance mutants fuzz uapi-check
bench: build ## measurements in the bench; options through ARGS
	@out=$$(printf ' %s ' '$(ARGS)' | sed -n 's/.* --out[ =]\([^ ]*\) .*/\1/p'); \
	  $(BENCH_RUN) --timeout 0 $${out:+--artifacts "$$out"} -- $(NODE) build/test/performance/main.js $(ARGS)
requirements: build ## which requirements have a passing test in the last `make test`
	@$(NODE) build/test/requirements/report.js
conformance: build ## every requirement with its evidence: tests, results, captures kept by DSMIPD_KEEP_CAPTURES=1 make test
	@$(NODE) build/test/requirements/conformance.js
mutants: build ## small changes of the pure layers, and how many of them the unit tests notice; options through ARGS: --count, --seed, --files, --help
	@$(NODE) build/test/mutants/main.js $(ARGS)
fuzz: build ## fuzz the wire codecs; options through ARGS, e.g. ARGS='--seconds 300'
	@$(NODE) build/test/fuzz/wire.js $(ARGS)
uapi-check: build ## our constants and layouts against the system's kernel headers
	@$(MAKE) -C native uapi-check
	@$(NODE) build/test/runner/unit.js uapi

##@ Housekeeping
.PHONY: clean help
clean: ## remove what was built; the downloads in .cache stay
	@rm -rf build build-* artifacts
	@$(MAKE) -C native clean
help:
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
