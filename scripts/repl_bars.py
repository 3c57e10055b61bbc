#!/usr/bin/env python3
"""How quick `lpz repl` is: start to the first answer, and re-evaluation over resident tensors.

    scripts/repl_bars.py target/release/lpz flexibert.jsonl#0 [options of lpz repl]
"""
import statistics
import subprocess
import sys
import time

LPZ, MODEL, *MORE = sys.argv[1:]
OUTER = [
    "sum l in linear { norm(l.grad) / l.rows }",
    "mean l in linear { norm(l.grad) * norm(l.weight) }",
    "sum l in linear[ffn] { norm(l.grad) }",
    "max l in linear { log(norm(l.grad)) }",
    "sum l in linear { norm(l.grad) ^ 2 }",
]
INNER = [
    "sum l in linear { sum(abs(l.weight * l.grad)) }",
    "sum l in linear { mean(abs(l.grad)) }",
    "sum l in linear { std(l.weight * l.grad) }",
    "sum l in linear { max(l.grad ^ 2) }",
    "sum l in linear { mean(abs(l.weight) + abs(l.grad)) }",
    "sum l in linear[ffn] { sum(l.weight * l.grad) }",
    "sum l in linear { l1(l.grad) / numel(l.grad) }",
]


def start(*options):
    command = [LPZ, "repl", *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def ask(repl, line):
    before = time.perf_counter()
    repl.stdin.write(line.encode() + b"\n")
    repl.stdin.flush()
    repl.stdout.readline()
    return (time.perf_counter() - before) * 1e3


def end(repl):
    repl.stdin.close()
    repl.wait()


def said(what, times):
    print(f"{what}: median {statistics.median(times):.1f} ms, {min(times):.1f} to {max(times):.1f}, n {len(times)}")


starts = []
for _ in range(21):
    before = time.perf_counter()
    repl = start()
    ask(repl, "1 + 1")
    starts.append((time.perf_counter() - before) * 1e3)
    end(repl)
said("start to the first answer", starts)
repl = start("--model", MODEL, *MORE)
said("the first expression, with the model's run", [ask(repl, "sum l in linear { norm(l.grad) * norm(l.weight) }")])
said("edited outside of reductions", [ask(repl, line) for line in OUTER])
said("edited inside of reductions", [ask(repl, line) for line in INNER])
end(repl)
