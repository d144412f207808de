# Each target installs what it needs into .venv (see scripts/setup); nothing outside this folder is touched.

.PHONY: demo test lint bench bench-server bench-stores bench-rehearsals lock clean

demo: ## ship a real app to a folder: a good release reaches stable, a bad one is rolled back
	@scripts/setup demo
	@.venv/bin/python examples/quickstart/demo.py

test: ## linters, types, layers, all tests, coverage
	@scripts/test

lint: ## only style, types and layers
	@scripts/setup test
	@scripts/lint

bench: ## speed, memory and size beside the Capgo CLI
	@scripts/setup test
	@.venv/bin/python benchmarks/run.py

bench-server: ## load on the update server beside a peer (needs wrk)
	@scripts/setup test
	@.venv/bin/python benchmarks/server.py

bench-stores: ## publishing to each store beside rclone, on the tests' servers
	@scripts/setup bench
	@.venv/bin/python benchmarks/stores.py

bench-rehearsals: ## rehearse six scenarios with 200 seeds each, and write their table
	@scripts/setup test
	@.venv/bin/python benchmarks/rehearsals.py --write

lock: ## rewrite the hash-locked requirement files (needs uv)
	@scripts/lock

clean: ## remove everything that was made here
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache benchmarks/out dist
