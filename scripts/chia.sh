#!/usr/bin/env bash
# Installs Chia's own node, wallet, harvester and farmer once, for the tests, and prints where their Python is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${ADIT_CACHE:-$HOME/.cache/adit}
home=$cache/chia-$(sha256sum <"$here/chia.txt" | cut -c1-8)

# The release's wheels exist for some versions of Python; the first of these that is here will do.
python() {
  for version in 3.11 3.12 3.10 3; do
    if "python$version" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "python$version"
      return
    fi
  done
  echo "Chia's farmer needs Python 3.10, 3.11 or 3.12" >&2
  return 1
}

if [ ! -f "$home/ready" ]; then
  mkdir -p "$cache"
  exec 9>"$cache/chia.lock"
  flock 9 # A second caller waits for the first one.
  if [ ! -f "$home/ready" ]; then
    echo "installing Chia's farmer with pip, once (about 250 MB)" >&2
    log=$cache/chia.log
    rm -rf "$home"
    {
      "$(python)" -m venv "$home" &&
        "$home/bin/pip" install --disable-pip-version-check --quiet --prefer-binary --requirement "$here/chia.txt" &&
        touch "$home/ready"
    } >"$log" 2>&1 || {
      tail -30 "$log" >&2
      rm -rf "$home"
      echo "Chia's farmer did not install; the whole log is $log" >&2
      exit 1
    }
  fi
fi
echo "$home/bin/python"
