# Every target is a few cargo or Python commands, so make is optional.
# Targets that need Python packages install them from PyPI into .venv.
.DEFAULT_GOAL := help
.PHONY: help pipeline test test-sklearn test-remote test-notebook test-readers test-browser test-lineage docs test-docs test-wheel test-sail test-spark test-airflow check deny tarball container lint-release bench fuzz online-retail

help: ## Print this help.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

pipeline: ## Run the default pipeline (CDNOW) into data/output/cdnow.
	cargo run --release --locked -- run pipelines/cdnow.yaml

test: ## Run all tests; those over reference data only if CUSTSEG_REFERENCE_DATA is set.
	@test -n "$$CUSTSEG_REFERENCE_DATA" || echo "note: CUSTSEG_REFERENCE_DATA is not set; tests over UCI Online Retail and the R sample are ignored"
	cargo test --release --locked $${CUSTSEG_REFERENCE_DATA:+-- --include-ignored}

test-sklearn: ## Compare published runs with scikit-learn.
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/sklearn/requirements.txt
	cargo run --release --locked -- -q run pipelines/cdnow.yaml --set publish.to=$(CURDIR)/.venv/out/cdnow \
		--set evaluate.silhouettes=exact
	test ! -e "$$CUSTSEG_REFERENCE_DATA/online-retail" || cargo run --release --locked -- -q run pipelines/online_retail_models.yaml \
		--set publish.to=$(CURDIR)/.venv/out/online_retail \
		--set "ingest.transactions.paths=[$$(realpath "$$CUSTSEG_REFERENCE_DATA")/online-retail/online_retail.parquet]"
	.venv/bin/python tests/sklearn/compare.py $$(ls -d .venv/out/cdnow/current .venv/out/online_retail/current 2> /dev/null)
	cargo run --release --locked -- -q run pipelines/cdnow_models.yaml --set publish.to=$(CURDIR)/.venv/out/cdnow_models \
		--set "rfm.snapshots=[1998-01-02, 1998-04-02, 1998-07-01]"
	test ! -e "$$CUSTSEG_REFERENCE_DATA/online-retail" || cargo run --release --locked -- -q run pipelines/online_retail_models.yaml \
		--set publish.to=$(CURDIR)/.venv/out/online_retail_forecasts \
		--set "ingest.transactions.paths=[$$(realpath "$$CUSTSEG_REFERENCE_DATA")/online-retail/online_retail.parquet]" \
		--set "rfm.snapshots=[2011-06-13, 2011-09-11, 2011-12-10]"
	.venv/bin/python tests/sklearn/forecast.py $$(ls -d .venv/out/cdnow_models/current .venv/out/online_retail_forecasts/current 2> /dev/null)

test-remote: ## Read from and publish to an S3-compatible server (moto).
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/remote/requirements.txt
	cargo build --release --locked
	.venv/bin/python tests/remote/s3.py --binary "$${CARGO_TARGET_DIR:-target}/release/custseg"

test-notebook: ## Execute the notebook on new runs; compare with DuckDB and the stored outputs.
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/notebook/requirements.txt
	cargo build --release --locked
	.venv/bin/python tests/notebook/execute.py --binary "$${CARGO_TARGET_DIR:-target}/release/custseg"

# Versions of pyarrow; 17 also has the oldest Polars. CI tests it and the newest.
READERS ?= 14 17 newest
test-readers: pipeline ## Read a new run in pandas with three versions of pyarrow, DuckDB and Polars.
	for version in $(READERS); do \
		test -x .venv/pyarrow-$$version/bin/python || python3 -m venv .venv/pyarrow-$$version; \
		.venv/pyarrow-$$version/bin/pip install --quiet --disable-pip-version-check --requirement tests/readers/requirements-$$version.txt \
			&& .venv/pyarrow-$$version/bin/python tests/readers/read.py data/output/cdnow/current || exit 1; \
	done

test-browser: pipeline ## Test the reports of new runs in headless Chromium (must be installed).
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/browser/requirements.txt
	cargo run --release --locked -- -q run pipelines/cdnow.yaml --set publish.to=$(CURDIR)/.venv/out/months \
		--set 'rfm.snapshots={every: 3mo, from: 1997-07-01}' --set 'evaluate.validity={horizon: 90d}' --set evaluate.sensitivity=true --set evaluate.cohorts={} \
		--set 'models.groups={features: [recency_days, monetary], kmeans: {k: {sweep: [2, 6]}}}'
	test ! -e "$$CUSTSEG_REFERENCE_DATA/online-retail" || cargo run --release --locked -- -q run pipelines/online_retail_models.yaml \
		--set publish.to=$(CURDIR)/.venv/out/online_retail \
		--set "ingest.transactions.paths=[$$(realpath "$$CUSTSEG_REFERENCE_DATA")/online-retail/online_retail.parquet]"
	test -e .venv/axe/node_modules/axe-core/axe.min.js || npm install --silent --prefix .venv/axe axe-core@4
	.venv/bin/python tests/browser/report.py --axe .venv/axe/node_modules/axe-core/axe.min.js --shots .venv/shots data/output/cdnow/current .venv/out/months/current \
		$$(test ! -e .venv/out/online_retail/current || echo .venv/out/online_retail/current)

test-lineage: ## Validate the events of a run with the OpenLineage client.
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/lineage/requirements.txt
	rm -f .venv/events.jsonl
	cargo run --release --locked -- -q run pipelines/cdnow.yaml --set publish.to=$(CURDIR)/.venv/out/lineage --lineage .venv/events.jsonl
	.venv/bin/python tests/lineage/client.py .venv/events.jsonl

docs: ## Build the documentation as a site into .venv/site; dead links are errors.
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement docs/requirements.txt
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet
	.venv/bin/python tests/docs/site.py .venv/site

test-docs: ## Run the Python examples of README.md and docs.
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/docs/requirements.txt
	cargo build --release --locked
	.venv/bin/python tests/docs/python.py --binary "$${CARGO_TARGET_DIR:-target}/release/custseg"

# Python of the environments, and flags of `maturin build`: releases give the target and the glibc level.
PYTHON ?= python3
WHEEL_FLAGS ?=
test-wheel: ## Build the Python wheel into dist, install it into a new environment, and test it.
	test -x .venv/wheel-build/bin/python || $(PYTHON) -m venv .venv/wheel-build
	.venv/wheel-build/bin/pip install --quiet --disable-pip-version-check --requirement tests/wheel/requirements-build.txt
	rm -rf .venv/wheel dist/*.whl
	.venv/wheel-build/bin/maturin build --release --out dist $(WHEEL_FLAGS)
	$(PYTHON) -m venv .venv/wheel
	.venv/wheel/bin/pip install --quiet --disable-pip-version-check --requirement tests/wheel/requirements.txt "$$(ls dist/*.whl)[pandas,duckdb]"
	.venv/wheel/bin/python -m pytest -q -p no:cacheprovider tests/wheel

test-sail: ## Compare runs on Sail (Spark Connect without a JVM) with local runs. Needs protoc.
	test -x .venv/bin/python || python3 -m venv .venv
	test -x .venv/sail/bin/python || python3 -m venv .venv/sail
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/spark/requirements.txt
	.venv/sail/bin/pip install --quiet --disable-pip-version-check --requirement tests/spark/sail.txt
	cargo build --release --locked --features spark
	.venv/bin/python tests/spark/engines.py --engine sail --venv .venv/sail --binary "$${CARGO_TARGET_DIR:-target}/release/custseg"

test-spark: ## Compare runs on Spark with local runs, one executor killed. Needs protoc and Java 17.
	test -x .venv/bin/python || python3 -m venv .venv
	test -x .venv/spark/bin/python || python3 -m venv .venv/spark
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/spark/requirements.txt
	.venv/spark/bin/pip install --quiet --disable-pip-version-check --requirement tests/spark/spark.txt
	cargo build --release --locked --features spark
	.venv/bin/python tests/spark/engines.py --engine spark --venv .venv/spark --binary "$${CARGO_TARGET_DIR:-target}/release/custseg"

test-airflow: ## Run the DAG of config/airflow with Airflow.
	test -x .venv/airflow/bin/python || python3 -m venv .venv/airflow
	.venv/airflow/bin/pip install --quiet --disable-pip-version-check --requirement tests/airflow/requirements.txt
	cargo build --release --locked
	.venv/airflow/bin/python tests/airflow/dag.py --binary "$${CARGO_TARGET_DIR:-target}/release/custseg"

check: ## Check format, lints and documentation, and run all tests.
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps
	$(MAKE) test

deny: ## Check licences, bans and sources of dependencies; advisories with ADVISORIES=1 (network).
	cargo deny --locked check $(if $(ADVISORIES),,licenses bans sources)

lint-release: ## Lint the workflows, the Dockerfile and the shell scripts.
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/release/requirements.txt
	.venv/bin/actionlint -shellcheck .venv/bin/shellcheck
	.venv/bin/hadolint Dockerfile
	.venv/bin/shellcheck .ci/run .ci/pack fuzz/instrument

tarball: ## Build the release tarball of this machine into dist (Linux).
	cargo build --release --locked
	.ci/pack "$${CARGO_TARGET_DIR:-target}/release/custseg" "$$(rustc -vV | sed -n 's/^host: //p')" dist

container: ## Build the container image with docker or podman, and run the example in it.
	@for tool in docker podman; do "$$tool" info > /dev/null 2>&1 && break; tool=; done; \
	test -n "$$tool" || { echo "make container: neither docker nor podman is installed and running" >&2; exit 1; }; \
	"$$tool" build --tag custseg . && "$$tool" run --rm custseg demo /tmp/demo

bench: ## Compare run times with DuckDB, Polars, pandas, scikit-learn (benches/RESULTS.md); run criterion.
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement benches/requirements.txt
	cargo build --release --locked
	.venv/bin/python benches/compare.py --binary "$${CARGO_TARGET_DIR:-target}/release/custseg"
	cargo bench --locked --bench ledger --bench stages --bench snapshots

FUZZ_SECONDS ?= 600
# The program's own target folder, in which Polars is compiled already.
FUZZ_TARGET = $(abspath $(or $(CARGO_TARGET_DIR),target))
fuzz: ## Fuzz the YAML parser and the CSV reader in parallel for FUZZ_SECONDS (600).
	cd fuzz && RUSTC_WRAPPER="$$PWD/instrument" cargo build --release --locked --target-dir "$(FUZZ_TARGET)"
	mkdir -p fuzz/found/yaml fuzz/found/rows
	cd fuzz && fuzz() { \
		"$(FUZZ_TARGET)/release/$$1" found/$$1 corpus/$$1 -artifact_prefix=found/$$1- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1; \
	} && { fuzz yaml & yaml=$$!; fuzz rows && wait $$yaml; }

online-retail: ## Download UCI Online Retail (CC BY 4.0) and run its pipeline.
	curl --fail --location --output data/raw/online_retail.zip https://archive.ics.uci.edu/static/public/352/online+retail.zip
	unzip -p data/raw/online_retail.zip "Online Retail.xlsx" > data/raw/online_retail.xlsx
	cargo run --release --locked -- run pipelines/online_retail.yaml --set "ingest.transactions.paths=[data/raw/online_retail.xlsx]"
