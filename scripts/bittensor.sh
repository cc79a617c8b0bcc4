#!/usr/bin/env bash
# Installs bittensor 10.5.0 once, for the tests, and prints where its Python is: its dendrite is the real client of
# the axon door. `bittensor.sh btauth` does the same with the packages of btauth.txt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${ADIT_CACHE:-$HOME/.cache/adit}
what=${1:-bittensor}
home=$cache/$what-$(sha256sum <"$here/$what.txt" | cut -c1-8)

if [ ! -e "$home/complete" ]; then
  mkdir -p "$cache"
  exec 9>"$cache/$what.lock"
  flock 9 # A second caller waits for the first one.
  if [ ! -e "$home/complete" ]; then
    echo "installing $what with pip, once" >&2
    log=$cache/$what.log
    rm -rf "$home"
    {
      python3 -m venv "$home" &&
      "$home/bin/pip" install --disable-pip-version-check --quiet --requirement "$here/$what.txt" &&
      touch "$home/complete"
    } >"$log" 2>&1 || {
      tail -30 "$log" >&2
      rm -rf "$home"
      echo "$what did not install; the whole log is $log" >&2
      exit 1
    }
  fi
fi
echo "$home/bin/python"
