#!/usr/bin/env bash
# Everything that needs a GPU, in one go: what the machine has, the engines' suite on the device,
# and a table of every bar with the card's name. Where no device is found each part says so.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo run --release --quiet -- devices
LPZ_SUITE_CUDA=1 cargo test --release --quiet --test engines
# A cache of its own: bars that include compilation start from none.
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
LPZ_CACHE_DIR=$cache cargo bench --quiet --bench gpu
