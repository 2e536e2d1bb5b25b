# Every target is a line or two of cargo; `make` is a convenience, not a requirement.
.DEFAULT_GOAL := help
.PHONY: help pipeline test test-sklearn check bench online-retail

help: ## Show this help.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

pipeline: ## Build, and run the default pipeline (CDNOW) into data/output/cdnow.
	cargo run --release --locked -- run pipelines/cdnow.yaml

test: ## Run the whole test suite.
	@test -n "$$CUSTSEG_REFERENCE_DATA" || echo "note: CUSTSEG_REFERENCE_DATA is not set; the tests over UCI Online Retail and the R sample skip"
	cargo test --release --locked

test-sklearn: ## Hold published runs against scikit-learn, which is installed from PyPI into .venv.
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/sklearn/requirements.txt
	cargo run --release --locked -- -q run pipelines/cdnow.yaml --set publish.to=$(CURDIR)/.venv/out/cdnow
	test ! -e "$$CUSTSEG_REFERENCE_DATA/online-retail" || cargo run --release --locked -- -q run pipelines/online_retail.yaml \
		--set publish.to=$(CURDIR)/.venv/out/online_retail \
		--set "ingest.transactions.paths=[$$(realpath "$$CUSTSEG_REFERENCE_DATA")/online-retail/online_retail.parquet]"
	.venv/bin/python tests/sklearn/compare.py .venv/out/*/current

check: ## Check format, lints and documentation, and run the tests.
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps
	$(MAKE) test

bench: ## Time custseg beside DuckDB, Polars, pandas and scikit-learn into benches/RESULTS.md, then its parts (criterion).
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement benches/requirements.txt
	cargo build --release --locked
	.venv/bin/python benches/compare.py --binary "$${CARGO_TARGET_DIR:-target}/release/custseg"
	cargo bench --locked --bench ledger --bench stages --bench snapshots

online-retail: ## Fetch UCI Online Retail (CC BY 4.0) and run its pipeline over the workbook.
	curl --fail --location --output data/raw/online_retail.zip https://archive.ics.uci.edu/static/public/352/online+retail.zip
	unzip -p data/raw/online_retail.zip "Online Retail.xlsx" > data/raw/online_retail.xlsx
	cargo run --release --locked -- run pipelines/online_retail.yaml --set "ingest.transactions.paths=[../data/raw/online_retail.xlsx]"
