# `make demo` and `make test` are all the set-up there is: each makes the environment first (fast when it is made).

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made
BENCH := benchmarks
# As many as there are cores, up to 4: on a machine that is overrun, processes are taken for dead that are not.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2); [ $$n -lt 4 ] && echo $$n || echo 4)
PYTEST ?= -q -n $(JOBS) --dist loadfile --no-loadscope-reorder
# The first Python that is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: help env demo test sweep pooler rolling search bench bench-table recovery neighbours suspension overload turns \
	growth idle check docs lock clean

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

env: $(STAMP) ## Make the environment in .venv, from the hashed lock

demo: $(STAMP) ## Run the support desk, kill its workers, and count
	@$(BIN)/trunkline demo

test: $(STAMP) ## Run every test (embedded NATS and Postgres)
	@$(BIN)/python -m pytest $(PYTEST)

sweep: $(STAMP) ## All faults and fault points, one by one and in seeded pairs (about an hour)
	@$(BIN)/python -m pytest -v -m sweep -n 0 tests

pooler: $(STAMP) ## Run everything behind PgBouncer in transaction mode (needs pgbouncer on the path)
	@$(BIN)/python -m pytest -q -m pooler -n 0 tests/integration/pooler

bench: $(STAMP) $(BENCH)/.made ## Run Trunkline and its peers side by side (25 minutes; BENCH_OPTIONS=--thorough: hours)
	@$(BIN)/python -m benchmarks.bench $(BENCH_OPTIONS)
	@$(BIN)/python -m benchmarks.bench.table

bench-table: $(STAMP) ## Make README.md's tables anew from benchmarks/results/latest.json
	@$(BIN)/python -m benchmarks.bench.table

recovery: $(STAMP) ## Measure from SIGKILL of an agent worker to the next entry of each of its 1,000 runs
	@$(BIN)/python -m benchmarks.recovery

neighbours: $(STAMP) ## Measure quiet instances' runs beside others that flood, raise, and block
	@$(BIN)/python -m benchmarks.neighbours

growth: $(STAMP) ## Measure how cost grows with journals, payloads, instances, workers and calls at once (about ten minutes)
	@$(BIN)/python -m benchmarks.growth

suspension: $(STAMP) ## Measure what 100,000 sleeping runs and a million idle instances cost (about a quarter of an hour)
	@$(BIN)/python -m benchmarks.suspension

overload: $(STAMP) ## Offer half, as much, twice and five times what can be done, over HTTP and as events (ten minutes)
	@$(BIN)/python -m benchmarks.overload

turns: $(STAMP) ## Measure 100 and 1,000 conversations at once with a model, and what a turn costs (a quarter of an hour)
	@$(BIN)/python -m benchmarks.turns

idle: $(STAMP) ## Measure what an exchange costs that has nothing to do
	@$(BIN)/python -m benchmarks.idle

rolling: $(STAMP) ## Restart every process twenty times under load, and tell how long runs took
	@$(BIN)/python -m pytest -q -s -m sweep -n 0 tests/chaos/test_rolling_restart.py

search: $(STAMP) ## Look for a way to break the promises, ten minutes long
	@$(BIN)/python -m pytest -q -n0 --hypothesis-profile=long tests/property/test_exchange_machine.py

check: $(STAMP) ## Check style, types, layers and the deployment's files
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/python -m benchmarks.bench.table --check
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@if command -v promtool >/dev/null; then \
		promtool check config deploy/prometheus.yml && promtool test rules deploy/alerts.test.yml; \
	else echo "promtool is not here: the Prometheus files were not checked"; fi

docs: $(STAMP) ## Make docs/ anew from the code
	@$(BIN)/python docs/generate.py

lock: ## Resolve all versions anew (needs uv and the network)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--all-extras --group dev pyproject.toml -o requirements.lock
	echo hatchling | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--constraint requirements.lock pyproject.toml - -o deploy/requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		$(BENCH)/requirements.in -o $(BENCH)/requirements.lock

clean: ## Remove the environment and all caches
	rm -rf $(VENV) $(BENCH)/.venv $(BENCH)/.made $(BENCH)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist

# hatchling, which builds the project, is in the lock: nothing is fetched that has no hash.
PROJECT := --no-deps --no-build-isolation -e .

$(STAMP): requirements.lock pyproject.toml
	@set -e; \
	if uv --version >/dev/null 2>&1; then \
		test -x $(BIN)/python || uv venv --quiet --python "$(or $(PYTHON),3.12)" $(VENV); \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock; \
		uv pip install --quiet --python $(BIN)/python $(PROJECT); \
	else \
		test -n "$(PYTHON)" || { echo "Trunkline needs Python 3.11 or newer."; exit 1; }; \
		test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || \
			{ echo "On Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }; \
		$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
		$(BIN)/pip install --quiet --disable-pip-version-check $(PROJECT); \
	fi
	@touch $@

# Peers of `make bench`, apart from the project: Python's in benchmarks/.venv, npm's in benchmarks/node_modules. One that
# cannot be installed is named in the results, and the others run without it.
$(BENCH)/.made: $(BENCH)/requirements.lock $(BENCH)/package-lock.json | $(STAMP)
	@test -x $(BENCH)/.venv/bin/python || $(BIN)/python -m venv $(BENCH)/.venv
	@if uv --version >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BENCH)/.venv/bin/python --require-hashes -r $(BENCH)/requirements.lock; \
	else $(BENCH)/.venv/bin/python -m pip install --quiet --require-hashes -r $(BENCH)/requirements.lock; fi || \
		{ rm -rf $(BENCH)/.venv; echo "The Python peers cannot be installed here"; }
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --ignore-scripts --prefix $(BENCH); \
	else false; fi || echo "Restate, which comes from npm, cannot be installed here"
	@touch $@
