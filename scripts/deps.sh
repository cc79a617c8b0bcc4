#!/usr/bin/env bash
# Installs what a build or the tests need and this machine does not have, saying what for. Debian and its relatives.
#   deps.sh build   what a release build needs
#   deps.sh test    that, and what the tests need
set -euo pipefail
what=${1:?usage: deps.sh build|test}

missing=()
need() { # need PACKAGE COMMAND REASON: PACKAGE is installed when COMMAND is not there
  if ! command -v "$2" >/dev/null 2>&1; then
    echo "missing: $1 ($3)"
    missing+=("$1")
  fi
}

need gcc cc "compiles the bundled SQLite and secp256k1"

if [ ${#missing[@]} -gt 0 ]; then
  sudo=
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1; then
      sudo=sudo
    else
      echo "run this as root, then again: apt-get update && apt-get install -y ${missing[*]}" >&2
      exit 1
    fi
  fi
  install() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=400 install -y --no-install-recommends "${missing[@]}"; }
  $sudo apt-get -o DPkg::Lock::Timeout=400 update -q
  # Two installations at once can remove each other's downloads: once more then.
  install || install
fi

if ! command -v cargo >/dev/null 2>&1; then
  echo "no Rust toolchain found: install one with rustup (or Debian's cargo, 1.90 or newer), then run this again" >&2
  exit 1
fi

cargo_tool() { # cargo_tool CRATE VERSION REASON
  if ! command -v "$1" >/dev/null 2>&1; then
    echo "missing: $1 ($3); building it with cargo"
    cargo install --locked --quiet "$1" --version "$2"
  fi
}

if [ "$what" = test ]; then
  cargo_tool cargo-nextest 0.9.143 "runs the tests, each in a process of its own"
fi
