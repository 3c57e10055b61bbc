#!/usr/bin/env bash
# The whole standard library on benchmarks, with nothing but `lpz rank`: one table each, best first, baselines
# marked, over several seeds.
#
#   scripts/library_table.sh OUT_DIR BENCH.jsonl[:METRIC[:BATCH:SEQ[:LIMIT]]]...
#
# For example, on NAS-Bench-BERT (500 architectures) and GPT-2 on WikiText-103 (200, batch 4 of 192 tokens):
#
#   scripts/library_table.sh results flexibert.jsonl:glue:8:128 gpt2.jsonl:valid_ppl:4:192
#
# Writes OUT_DIR/NAME.json (everything that `lpz rank --json` says), NAME.csv (scores of every architecture) and
# NAME.md (the table, Markdown). LPZ names the binary (default: target/release/lpz, built when missing), SEEDS the
# number of seeds (default 3), SKIP proxies to leave out (names, separated by spaces). Wants a machine without
# other load: times are wall-clock.
set -euo pipefail

if [ $# -lt 2 ]; then
  sed -n '2,15s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
out=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
lpz=${LPZ:-$root/target/release/lpz}
[ -x "$lpz" ] || (cd "$root" && cargo build --release)
mkdir -p "$out"

proxies=()
for file in "$root"/stdlib/*.lpz; do
  for name in $(sed -n 's/^proxy \([A-Za-z0-9_]*\).*/\1/p' "$file"); do
    case " ${SKIP:-} " in
      *" $name "*) ;;
      *) proxies+=("std::$name") ;;
    esac
  done
done

"$lpz" doc --json >"$out/doc.json"

for spec in "$@"; do
  IFS=: read -r bench metric batch seq limit <<<"$spec"
  name=$(basename "$bench" .jsonl)
  args=(rank --bench "$bench" --proxy "${proxies[@]}" --seeds "${SEEDS:-3}" --batch "${batch:-8}" --seq "${seq:-128}")
  [ -n "${metric:-}" ] && args+=(--metric "$metric")
  [ -n "${limit:-}" ] && args+=(--limit "$limit")
  "$lpz" "${args[@]}" --csv "$out/$name.csv" --json >"$out/$name.json"
  python3 "$root/scripts/library_table.py" "$out/$name.json" "$out/doc.json" >"$out/$name.md"
  echo "$out/$name.md"
done
