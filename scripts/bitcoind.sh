#!/usr/bin/env bash
# Builds Bitcoin Core's bitcoind once, for the tests, and prints where it is. There is no packaged bitcoind; the source
# of a whole node is inside the crate libbitcoinkernel-sys-covenants (MIT; Core 29.99 that also enforces BIP-119 on
# regtest). It is a judge for tests, never a node for real money.
set -euo pipefail
crate=libbitcoinkernel-sys-covenants
version=0.0.22
flags=(
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS=-O1
  -DBUILD_DAEMON=ON -DWITH_ZMQ=ON
  -DBUILD_CLI=OFF -DBUILD_TX=OFF -DBUILD_UTIL=OFF -DBUILD_TESTS=OFF -DBUILD_BENCH=OFF -DBUILD_BITCOIN_BIN=OFF
  -DENABLE_WALLET=OFF -DENABLE_EXTERNAL_SIGNER=OFF -DENABLE_IPC=OFF -DWITH_CCACHE=OFF
)
cache=${ADIT_CACHE:-$HOME/.cache/adit}
key=$(printf '%s\n' "$version" "${flags[@]}" | sha256sum | cut -c1-8)
home=$cache/bitcoind-$version-$key

if [ -x "$home/bitcoind" ]; then
  echo "$home/bitcoind"
  exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/bitcoind.lock"
flock 9 # A second caller waits for the first one's build.
if [ -x "$home/bitcoind" ]; then
  echo "$home/bitcoind"
  exit 0
fi

work=$cache/bitcoind-build
rm -rf "$work"
mkdir -p "$work/fetch/src" "$home"
echo "building bitcoind from $crate $version: about 5 minutes on 2 cores, once" >&2
cat >"$work/fetch/Cargo.toml" <<MANIFEST
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"
[dependencies]
$crate = "=$version"
[workspace]
MANIFEST
: >"$work/fetch/src/lib.rs"
{
  (cd "$work/fetch" && cargo vendor --quiet "$work/vendor")
  cmake -S "$work/vendor/$crate/bitcoin" -B "$work/build" "${flags[@]}"
  cmake --build "$work/build" -j"$(nproc)" --target bitcoind
} >"$work/log" 2>&1 || {
  tail -30 "$work/log" >&2
  echo "bitcoind did not build; the whole log is $work/log" >&2
  exit 1
}
found=$(find "$work/build" -type f -name bitcoind -perm -u+x | head -1)
strip "$found"
cp "$found" "$home/bitcoind.new"
mv "$home/bitcoind.new" "$home/bitcoind"
rm -rf "$work"
echo "$home/bitcoind"
