#!/usr/bin/env python3
"""The engine's bodies in eager PyTorch, torch.compile and lpz, in one run, with ratios.

    python3 benches/vs_torch.py [--millions 64] [--lpz BENCH_BINARY]

Needs PyTorch. Ours is `cargo bench --bench engine` (or an already built binary of it), which reads
tensors of the same sizes; run on a quiet machine. Times are the best of three seconds each; the
first call of torch.compile is reported as its time to first result.
"""
import argparse
import re
import subprocess
import time

import torch

BODIES = {
    "sum(abs(l.weight * l.grad))": lambda w, g: (w * g).abs().sum(),
    "mean(sigmoid(log(abs(l.weight) + 1e-9)))": lambda w, g: torch.sigmoid(torch.log(w.abs() + 1e-9)).mean(),
    "mean(exp(zscore(l.weight)))": lambda w, g: torch.exp((w - w.mean()) / w.std(correction=0)).mean(),
    "mean(softmax(l.weight, axis = 0) ^ 2)": lambda w, g: (torch.softmax(w, 0) ** 2).mean(),
}


def best(f, seconds=3.0):
    """Least time of a call within `seconds`, at least two calls."""
    least, begin, calls = float("inf"), time.perf_counter(), 0
    while calls < 2 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        f()
        least = min(least, time.perf_counter() - start)
        calls += 1
    return least


def ours(binary, millions):
    """Seconds by body, as the engine's bench prints them."""
    command = [binary] if binary else ["cargo", "bench", "--quiet", "--bench", "engine", "--"]
    out = subprocess.run(command + [str(millions)], capture_output=True, text=True, check=True).stdout
    print(out.splitlines()[0])
    found = re.findall(r"^(.*\)): ([\d.]+) ms,", out, re.M)
    return {body: float(ms) / 1e3 for body, ms in found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=int, default=64)
    parser.add_argument("--lpz", help="binary of the engine's bench")
    args = parser.parse_args()
    mine = ours(args.lpz, args.millions)
    torch.manual_seed(0)
    shape = (args.millions * 256, 4096)
    w, g = torch.rand(shape) * 2 - 1, torch.rand(shape) * 2 - 1
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {w.numel() / 1e6:.1f} M elements")
    print(f"{'body':42} {'eager ms':>9} {'compile ms':>10} {'first s':>8} {'lpz ms':>8} {'/eager':>7} {'/compile':>8}")
    with torch.no_grad():
        for body, f in BODIES.items():
            eager = best(lambda: f(w, g).item())
            compiled = torch.compile(f)
            start = time.perf_counter()
            compiled(w, g).item()
            first = time.perf_counter() - start
            fast = best(lambda: compiled(w, g).item())
            t = mine[body]
            print(f"{body:42} {eager * 1e3:9.1f} {fast * 1e3:10.1f} {first:8.1f} {t * 1e3:8.1f} "
                  f"{eager / t:7.1f} {fast / t:8.1f}")


if __name__ == "__main__":
    main()
