#!/usr/bin/env bash
# Computes everything that a set of parity cases expects, with nothing but the commands of `lpz`:
#
#   scripts/parity.sh SET_DIR OUT_DIR [--precision f64|f32]
#
# For each case in SET_DIR it writes OUT_DIR/<case>/captured.safetensors (outputs, gradients, captured
# tensors, Hessian-vector products) and OUT_DIR/<case>/scores.json (parameter counts, objective
# values, every score of the standard library, LPZero's genotypes). The set's check.py judges them.
# LPZ names the binary (default: target/release/lpz, built when missing).
set -euo pipefail

if [ $# -lt 2 ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
set_dir=$1 out_dir=$2
shift 2
precision=f64
[ "${1:-}" = --precision ] && precision=$2

root=$(cd "$(dirname "$0")/.." && pwd)
lpz=${LPZ:-$root/target/release/lpz}
[ -x "$lpz" ] || (cd "$root" && cargo build --release)

for case_dir in "$set_dir"/*/; do
  [ -f "$case_dir/config.json" ] || continue
  name=$(basename "$case_dir")
  python3 "$root/scripts/parity_case.py" "$lpz" "$case_dir" "$out_dir/$name" "$precision" "$root/tests/data/programs/$name.lpz"
done
