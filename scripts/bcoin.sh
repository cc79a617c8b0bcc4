#!/usr/bin/env bash
# Installs bcoin once, for the tests, and prints where it is: a Bitcoin node with habits of its own, to try the pool on.
set -euo pipefail
version=1.0.2
cache=${ADIT_CACHE:-$HOME/.cache/adit}
home=$cache/bcoin-$version

if [ ! -f "$home/node_modules/bcoin/bin/node" ]; then
  mkdir -p "$cache"
  exec 9>"$cache/bcoin.lock"
  flock 9 # A second caller waits for the first one.
  if [ ! -f "$home/node_modules/bcoin/bin/node" ]; then
    echo "installing bcoin $version with npm, once" >&2
    work=$cache/bcoin-install
    rm -rf "$work" "$home"
    mkdir -p "$work"
    # The version of leveldown that bcoin asks for does not compile on today's Node; this one ships built.
    cat >"$work/package.json" <<MANIFEST
{"private":true,"dependencies":{"bcoin":"$version"},"overrides":{"leveldown":"6.1.1"}}
MANIFEST
    (cd "$work" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error) >"$work/log" 2>&1 || {
      tail -30 "$work/log" >&2
      echo "bcoin did not install; the whole log is $work/log" >&2
      exit 1
    }
    mv "$work" "$home"
  fi
fi
echo "$home"
