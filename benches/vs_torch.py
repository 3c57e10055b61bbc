#!/usr/bin/env python3
"""The engine's bodies in eager PyTorch, torch.compile and lpz, in one run, against the bars.

    python3 benches/vs_torch.py [--millions 64] [--all] [--bars BENCH_BINARY]

Needs PyTorch. Ours is `cargo bench --bench bars` (or an already built binary of it), which reads
tensors of the same sizes; run on a quiet machine. Ours is the best of a second and a half, PyTorch's
of three; the first call of torch.compile is reported as its time to first result. `--all` adds what
needs no PyTorch: 64 programs at once against one after another, and memoised programs.
"""
import argparse
import re
import subprocess
import time

import torch

from timing import best

# Body, the same in PyTorch, and the bars: share of the read bandwidth, times eager, times compiled.
BODIES = {
    "sum(abs(l.weight * l.grad))": (lambda w, g: (w * g).abs().sum(), 0.8, 8, 1),
    "mean(sigmoid(log(abs(l.weight) + 1e-9)))": (
        lambda w, g: torch.sigmoid(torch.log(w.abs() + 1e-9)).mean(), None, 8, 1.5),
    "mean(exp(zscore(l.weight)))": (
        lambda w, g: torch.exp((w - w.mean()) / w.std(correction=0)).mean(), None, 6, 1),
    "mean(softmax(l.weight, axis = 0) ^ 2)": (lambda w, g: (torch.softmax(w, 0) ** 2).mean(), None, 6, 2),
}
TOGETHER, MEMOISED = 10, 10_000


def ours(binary, millions, *what):
    """What the bench prints."""
    command = [binary] if binary else ["cargo", "bench", "--quiet", "--bench", "bars", "--"]
    return subprocess.run(command + [str(millions), *what], capture_output=True, text=True, check=True).stdout


def verdict(value, bar):
    return f"{value:7.2f} of {bar:<4g} {'ok' if value >= bar else 'SHORT'}"


def bodies(args):
    text = ours(args.bars, args.millions, "l.")
    print(text.splitlines()[0])
    found = re.findall(r"^(.*\)): ([\d.]+) ms,.* (\d+) % of", text, re.M)
    mine = {body: (float(ms) / 1e3, int(share) / 100) for body, ms, share in found}
    torch.manual_seed(0)
    shape = (args.millions * 256, 4096)
    w, g = torch.rand(shape) * 2 - 1, torch.rand(shape) * 2 - 1
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {w.numel() / 1e6:.1f} M elements")
    head = f"{'body':42} {'eager ms':>9} {'compile ms':>10} {'first s':>8} {'lpz ms':>8}"
    print(f"{head}  {'/eager':20}{'/compile':20}{'bandwidth':20}")
    with torch.no_grad():
        for body, (f, share, times_eager, times_compiled) in BODIES.items():
            eager = best(lambda: f(w, g).item(), seconds=3.0, calls=2)
            compiled = torch.compile(f)
            start = time.perf_counter()
            compiled(w, g).item()
            first = time.perf_counter() - start
            fast = best(lambda: compiled(w, g).item(), seconds=3.0, calls=2)
            t, read = mine[body]
            read = verdict(read, share) if share else f"{read:7.2f}"
            print(f"{body:42} {eager * 1e3:9.1f} {fast * 1e3:10.1f} {first:8.1f} {t * 1e3:8.1f}  "
                  f"{verdict(eager / t, times_eager):20}{verdict(fast / t, times_compiled):20}{read:20}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=int, default=64)
    parser.add_argument("--all", action="store_true", help="what needs no PyTorch too")
    parser.add_argument("--bars", help="binary of the bars bench")
    args = parser.parse_args()
    bodies(args)
    if args.all:
        text = ours(args.bars, 1, "together").strip()
        print(text, verdict(float(re.search(r"([\d.]+) times as fast", text)[1]), TOGETHER), sep="\n  ")
        text = ours(args.bars, 1, "memoised").strip()
        print(text, verdict(float(re.search(r"memoised: (\d+)", text)[1]), MEMOISED), sep="\n  ")


if __name__ == "__main__":
    main()
