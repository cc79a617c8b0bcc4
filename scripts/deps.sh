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

need_file() { # need_file PACKAGE PATH REASON: PACKAGE is installed when PATH is not there
  if [ ! -e "$2" ]; then
    echo "missing: $1 ($3)"
    missing+=("$1")
  fi
}

need gcc cc "compiles the bundled SQLite and secp256k1"
need_file libc6-dev /usr/include/stdio.h "the C library's headers, for the same"
if [ "$what" = test ]; then
  need g++ g++ "compiles bitcoind, which the tests run"
  need cmake cmake "builds bitcoind"
  need pkg-config pkg-config "finds bitcoind's libraries"
  need_file libboost-dev /usr/include/boost/version.hpp "a library of bitcoind"
  need_file libevent-dev /usr/include/event2/event.h "a library of bitcoind"
  need_file libzmq3-dev /usr/include/zmq.h "bitcoind's notifications"
  need_file litecoind /usr/lib/litecoin/litecoind "a scrypt node with a wallet, which the tests run"
  need strace strace "shows that no share is acknowledged before it is on disk"
  need nodejs node "runs bcoin, which the tests run"
  need npm npm "installs bcoin"
  need chromium chromium "the browser that the tests look at pages with"
  need chromium-driver chromedriver "drives it"
  need_file fonts-dejavu-core /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf "letters for it"
  need python3 python3 "runs Schemathesis, which asks the API everything, and Chia's own farmer"
  python3 -c 'import ensurepip' 2>/dev/null || { echo "missing: python3-venv (the same)"; missing+=(python3-venv); }
  need util-linux setpriv "ends the tests' nodes with the tests"
fi

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
