#!/usr/bin/env bash
# Several checkouts share one target folder, and cargo tells by times of change whether a crate is up to date: what one
# checkout built later than another's files were written would be taken for the other's. So a change of checkout throws
# away our own crates there; the dependencies stay.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
mark=${CARGO_TARGET_DIR:?}/checkout
if [ -d "$CARGO_TARGET_DIR" ] && [ "$(cat "$mark" 2>/dev/null)" != "$here" ]; then
  echo "the target folder was last used by another checkout: building our own crates anew"
  (cd "$here" && cargo clean --workspace --quiet)
fi
mkdir -p "$CARGO_TARGET_DIR"
echo "$here" >"$mark"
