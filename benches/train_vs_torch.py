#!/usr/bin/env python3
"""Training next to PyTorch: the same GPT-2, the same initial weights, the same batches.

    python3 benches/train_vs_torch.py [--lpz target/release/lpz] [--steps 200] [--threads 2]

A GPT-2 of 5.0 million parameters. Needs numpy and torch (CPU is enough). Prints the loss of both after
--steps steps, and tokens per second of both (eager PyTorch; then short runs taken in turn, so that both
see the same machine).

`lpz train` writes its initial weights and batches where `--trace FILE` is given; PyTorch starts from them
and runs the same AdamW, clipping and schedule, so the losses must agree up to rounding.
"""
import argparse, json, math, os, subprocess, sys, tempfile, time
import numpy as np


def read_safetensors(path):
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        head = json.loads(f.read(n))
        data = f.read()
    types = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32}
    out = {}
    for k, v in head.items():
        if k != "__metadata__":
            a, b = v["data_offsets"]
            out[k] = np.frombuffer(data[a:b], types[v["dtype"]]).reshape(v["shape"])
    return out, head.get("__metadata__", {})


def build(torch, cfg):
    """GPT-2 as Hugging Face's, in plain eager PyTorch."""
    import torch.nn as nn
    import torch.nn.functional as F
    W, H, L = cfg["n_embd"], cfg["n_head"], cfg["n_layer"]

    class Conv1D(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.weight = nn.Parameter(torch.empty(i, o))
            self.bias = nn.Parameter(torch.zeros(o))

        def forward(self, x):
            return torch.addmm(self.bias, x.reshape(-1, x.size(-1)), self.weight).view(*x.shape[:-1], -1)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(W), nn.LayerNorm(W)
            self.attn = nn.ModuleDict({"c_attn": Conv1D(W, 3 * W), "c_proj": Conv1D(W, W)})
            self.mlp = nn.ModuleDict({"c_fc": Conv1D(W, 4 * W), "c_proj": Conv1D(4 * W, W)})

        def forward(self, x):
            B, S, _ = x.shape
            q, k, v = self.attn["c_attn"](self.ln_1(x)).split(W, -1)
            split = lambda t: t.view(B, S, H, W // H).transpose(1, 2)
            a = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=True)
            x = x + self.attn["c_proj"](a.transpose(1, 2).reshape(B, S, W))
            return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))

    class GPT2(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = nn.Embedding(cfg["vocab_size"], W)
            self.wpe = nn.Embedding(cfg["n_positions"], W)
            self.h = nn.ModuleList(Block() for _ in range(L))
            self.ln_f = nn.LayerNorm(W)

        def forward(self, ids, targets):
            x = self.wte(ids) + self.wpe.weight[: ids.size(1)]
            for block in self.h:
                x = block(x)
            logits = F.linear(self.ln_f(x), self.wte.weight)
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return GPT2()


def torch_run(torch, cfg, weights, ids, targets, settings, steps):
    model = build(torch, cfg)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.tensor(weights["transformer." + name]))
    a, s = settings["adamw"], settings["schedule"]
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": a["decay"]},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    opt = torch.optim.AdamW(groups, lr=s["lr"], betas=(a["beta1"], a["beta2"]), eps=a["eps"])
    losses, busy = [], 0.0
    for step in range(steps):
        if step < s["warmup"]:
            lr = s["lr"] * (step + 1) / s["warmup"]
        else:
            done = (step - s["warmup"]) / max(s["steps"] - s["warmup"], 1)
            lr = s["lr"] * (s["floor"] + (1 - s["floor"]) * 0.5 * (1 + math.cos(math.pi * done)))
        for g in opt.param_groups:
            g["lr"] = lr
        x, y = torch.tensor(ids[step]), torch.tensor(targets[step])
        start = time.perf_counter()
        loss = model(x, y)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), a["clip"])
        opt.step()
        busy += time.perf_counter() - start
        losses.append(loss.item())
    return losses, steps * ids[0].size / busy


def lpz_run(args, config, steps, batch, seq, lr, trace):
    with tempfile.TemporaryDirectory() as out:
        cmd = f"{args.lpz} train --model {config} --synthetic --steps {steps} --batch {batch} --seq {seq} --lr {lr} -o {out}/run " \
              f"--trace {trace} --threads {args.threads} --quiet --json"
        summary = json.loads(subprocess.run(cmd.split(), check=True, capture_output=True, text=True).stdout)
        rows = open(f"{out}/run/curve.csv").read().split()[1:]
    return summary, [float(r.split(",")[1]) for r in rows]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--lpz", default="target/release/lpz")
    ap.add_argument("--steps", type=int, default=200)
    ap.add_argument("--speed-steps", type=int, default=15)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--threads", type=int, default=2)
    args = ap.parse_args()
    import torch
    torch.set_num_threads(args.threads)
    cfg = {"family": "gpt2", "vocab_size": 1024, "n_positions": 128, "n_embd": 256, "n_layer": 6, "n_head": 8}
    batch, seq, lr = 8, 128, 1e-3
    with tempfile.TemporaryDirectory() as d:
        path, trace = os.path.join(d, "config.json"), os.path.join(d, "trace.safetensors")
        json.dump(cfg, open(path, "w"))

        def both(steps):
            summary, losses = lpz_run(args, path, steps, batch, seq, lr, trace)
            t, meta = read_safetensors(trace)
            weights = {k[6:]: v for k, v in t.items() if k.startswith("param/")}
            ids, targets = t["ids"].astype(np.int64), t["targets"].astype(np.int64)
            theirs, speed = torch_run(torch, cfg, weights, ids, targets, json.loads(meta["settings"]), steps)
            print(f"{steps} steps: lpz {summary['tokens_per_second']:.0f} tokens/s, torch {speed:.0f} tokens/s, "
                  f"ratio {summary['tokens_per_second'] / speed:.2f}", flush=True)
            return summary, losses, theirs, summary["tokens_per_second"] / speed

        summary, ours, theirs, _ = both(args.steps)
        print(f"{summary['params']} parameters, torch {torch.__version__}, {args.threads} threads, batch {batch} x {seq}")
        apart = [abs(a / b - 1) for a, b in zip(ours, theirs)]
        print(f"loss after {args.steps} steps: lpz {ours[-1]:.6f}, torch {theirs[-1]:.6f} ({100 * (ours[-1] / theirs[-1] - 1):+.4f} %); "
              f"largest difference over all steps {100 * max(apart):.4f} %", flush=True)
        ratios = sorted(both(args.speed_steps)[3] for _ in range(args.rounds))
        print(f"median ratio of {args.rounds} short runs taken in turn {ratios[len(ratios) // 2]:.2f}")


if __name__ == "__main__":
    sys.exit(main())
