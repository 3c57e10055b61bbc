#!/usr/bin/env bash
# Fetches the CUDA compilers that tests check kernels with, into cuda-tools/ (or $LPZ_CUDA_TOOLS):
# NVRTC, ptxas and the headers of half and bfloat16. No GPU, driver or CUDA installation is needed.
#
# Everything comes through pip and is checked by sha256. Does nothing when the files are there.
# Neither building nor running lpz needs it; `tests/cuda_compile.rs` says so when it is absent.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${LPZ_CUDA_TOOLS:-cuda-tools}
if [ -x "$out/nvidia/cuda_nvcc/bin/ptxas" ] && [ -e "$out/nvidia/cuda_nvrtc/lib/libnvrtc.so.12" ] \
  && [ -e "$out/nvidia/cuda_runtime/include/cuda_bf16.h" ]; then
  echo "CUDA compilers are there: $out"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/requirements.txt" <<'TXT'
nvidia-cuda-nvcc-cu12==12.9.86 --hash=sha256:5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0
nvidia-cuda-nvrtc-cu12==12.9.86 --hash=sha256:210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4
nvidia-cuda-runtime-cu12==12.9.79 --hash=sha256:25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3
TXT
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --upgrade \
  --require-hashes --target "$work/tools" -r "$work/requirements.txt"
chmod +x "$work/tools/nvidia/cuda_nvcc/bin/"*
# The alternative compiler of the wheel is a second copy of 110 MB that nothing uses.
rm -f "$work"/tools/nvidia/cuda_nvrtc/lib/*.alt.so.*
rm -rf "$out"
mv "$work/tools" "$out"
echo "CUDA compilers fetched into $out"
