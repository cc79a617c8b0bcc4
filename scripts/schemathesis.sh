#!/usr/bin/env bash
# Installs Schemathesis once, for the tests, and prints where it is: it asks an API everything that its description allows,
# and much that it does not.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${ADIT_CACHE:-$HOME/.cache/adit}
home=$cache/schemathesis-$(sha256sum <"$here/schemathesis.txt" | cut -c1-8)

if [ ! -x "$home/bin/schemathesis" ]; then
  mkdir -p "$cache"
  exec 9>"$cache/schemathesis.lock"
  flock 9 # A second caller waits for the first one.
  if [ ! -x "$home/bin/schemathesis" ]; then
    echo "installing Schemathesis with pip, once" >&2
    log=$cache/schemathesis.log
    rm -rf "$home"
    {
      python3 -m venv "$home"
      "$home/bin/pip" install --disable-pip-version-check --quiet --requirement "$here/schemathesis.txt"
    } >"$log" 2>&1 || {
      tail -30 "$log" >&2
      rm -rf "$home"
      echo "Schemathesis did not install; the whole log is $log" >&2
      exit 1
    }
  fi
fi
echo "$home/bin/schemathesis"
