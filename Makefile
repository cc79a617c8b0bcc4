# The whole set-up: `make demo` to watch a pool work, `make test` to check all of it.
ADIT_CACHE ?= $(HOME)/.cache/adit
# Outside the checkout, so that a clean checkout is not a cold build.
export CARGO_TARGET_DIR ?= $(ADIT_CACHE)/target
export ADIT_CACHE

.PHONY: help demo build test fmt

help: ## Lists what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: build ## Shows a pool at work: a chain, a pool and three miners (DEMO="--blocks 3 --exit" ends by itself)
	@$(CARGO_TARGET_DIR)/release/adit demo $(DEMO)

build: ## Builds the release binary
	@scripts/deps.sh build
	@scripts/target.sh
	cargo build --release --locked --package adit
	@echo "built $(CARGO_TARGET_DIR)/release/adit"

fmt: ## Formats the code
	cargo fmt

test: ## Formats, lints and tests everything
	@scripts/deps.sh test
	@scripts/target.sh
	@echo "== real nodes for the tests"
	@scripts/bitcoind.sh
	@scripts/bcoin.sh
	@scripts/schemathesis.sh
	@scripts/bittensor.sh
	@scripts/btauth.sh
	@scripts/chia.sh
	@echo "== format"
	cargo fmt --check
	@echo "== lint"
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@echo "== licences and sources"
	@scripts/deny.sh
	@echo "== documentation"
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked
	@echo "== tests"
	cargo nextest run --workspace --locked
	cargo test --workspace --doc --locked
