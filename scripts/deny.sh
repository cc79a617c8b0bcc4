#!/usr/bin/env bash
# Licences, bans and sources of every dependency; advisories where their database can be had.
set -euo pipefail
if ! command -v cargo-deny >/dev/null 2>&1; then
  echo "missing: cargo-deny (checks licences and sources); building it with cargo"
  cargo install --locked --quiet cargo-deny
fi
cargo deny --locked check --hide-inclusion-graph licenses bans sources
if cargo deny --locked fetch db >/dev/null 2>&1; then
  cargo deny --locked check advisories
else
  echo "advisories: the database cannot be reached from here; not checked"
fi
