#!/usr/bin/env python3
"""Forward and backward of the same architectures in eager PyTorch and here, in one run.

    python3 benches/model_vs_torch.py BENCH.jsonl [--count 10] [--batch 8] [--seq 128] [--lpz BENCH_BINARY]

BENCH.jsonl is a benchmark of FlexiBERT or GPT-2 flex architectures. Ours is `cargo bench --bench model`
(or an already built binary of it), which captures every field on the way; PyTorch computes the gradients
of all parameters and captures nothing. Times are the least of several calls. Passes where the median
over the architectures of ours / PyTorch's is at most 1.0, and that of ours / (operations / speed of
products in the same run) at most 1.3, with three times the forward's operations. Needs PyTorch.
"""
import argparse
import json
import math
import statistics
import subprocess
import sys

import torch
import torch.nn.functional as F
from torch import nn

from timing import best


class Attention(nn.Module):
    """Heads of equal width; `p v` with the heads merged."""

    def __init__(self, heads, causal=False):
        super().__init__()
        self.heads, self.causal = heads, causal

    def forward(self, q, k, v):
        b, n, w = q.shape
        q, k, v = (x.view(b, n, self.heads, -1).transpose(1, 2) for x in (q, k, v))
        s = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if self.causal:
            s = s.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -1e4)
        return (s.softmax(-1) @ v).transpose(1, 2).reshape(b, n, w)


class FlexiOperation(nn.Module):
    """SA/SDP, SA/WMA, LT/DFT, LT/DCT, DSC/k."""

    def __init__(self, layer, hidden):
        super().__init__()
        self.kind, parameter = layer["operation_type"], str(layer["operation_parameter"])
        self.heads = layer["num_operation_heads"]
        if self.kind == "LT":
            self.dct = parameter == "DCT"
            self.input = nn.Linear(hidden, hidden)
            return
        width = hidden // 2 if self.kind == "DSC" else hidden
        self.query, self.key, self.value = (nn.Linear(hidden, width) for _ in range(3))
        self.weight = nn.Linear(hidden, hidden, bias=False) if parameter == "WMA" else None
        self.attention = Attention(self.heads // 2 if self.kind == "DSC" else self.heads)
        if self.kind == "DSC":
            self.k, self.width = int(parameter), width
            self.depthwise = nn.Conv1d(hidden, hidden, self.k, padding=self.k // 2, groups=hidden, bias=False)
            self.pointwise = nn.Conv1d(hidden, width, 1)
            self.kernel = nn.Linear(width, self.heads // 2 * self.k)
            self.out = nn.Linear(hidden, width)
            self.unfold = nn.Unfold([self.k, 1], padding=[self.k // 2, 0])

    def transform(self, x):
        b, n, w = x.shape
        x = x.view(b, n, self.heads, -1).transpose(1, 2)
        if self.dct:
            x = cosine(n) @ x @ cosine(w // self.heads).T
        else:
            x = torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real
        return x.transpose(1, 2).reshape(b, n, w)

    def forward(self, x):
        if self.kind == "LT":
            return self.transform(self.input(x))
        query = self.query(x)
        q = query if self.weight is None else self.weight(query)
        y = self.attention(q, self.key(x), self.value(x))
        if self.kind != "DSC":
            return y
        b, n, _ = x.shape
        key = self.pointwise(self.depthwise(x.transpose(1, 2))).transpose(1, 2)
        kernel = self.kernel(key * query).reshape(-1, self.k, 1).softmax(1)
        o = self.unfold(self.out(x).transpose(1, 2).unsqueeze(-1)).transpose(1, 2)
        o = o.reshape(-1, self.width // (self.heads // 2), self.k) @ kernel
        return torch.cat([y, o.reshape(b, n, self.width)], -1)


_COSINES = {}


def cosine(n):
    """The matrix of the unnormalised DCT-II."""
    if n not in _COSINES:
        k, j = torch.arange(n).view(-1, 1), torch.arange(n).view(1, -1)
        _COSINES[n] = 2 * torch.cos(math.pi * k * (2 * j + 1) / (2 * n))
    return _COSINES[n]


class FlexiLayer(nn.Module):
    def __init__(self, layer, hidden):
        super().__init__()
        self.operation = FlexiOperation(layer, hidden)
        self.dense, self.norm1, self.norm2 = nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        widths = [hidden] + [layer["feed_forward_dimension"]] * layer["num_feed_forward"]
        widths[1] = 4 * hidden
        self.inner = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.output = nn.Linear(widths[-1], hidden)

    def forward(self, x):
        x = self.norm1(self.dense(self.operation(x)) + x)
        f = x
        for linear in self.inner:
            f = F.gelu(linear(f))
        return self.norm2(self.output(f) + x)


class FlexiBert(nn.Module):
    def __init__(self, config, batch, seq):
        super().__init__()
        hidden, width = config["hidden_size"], config.get("embedding_size", 128)
        self.word, self.position = nn.Embedding(30522, width), nn.Embedding(512, width)
        self.kind, self.norm = nn.Embedding(2, width), nn.LayerNorm(width)
        self.project = nn.Linear(width, hidden)
        self.layers = nn.ModuleList(FlexiLayer(x, hidden) for x in config["nas_config"]["encoder_layers"])
        self.vocab, self.direction = 30522, torch.randn(batch, seq, hidden)

    def forward(self, ids, _):
        x = self.word(ids) + self.position.weight[: ids.shape[1]] + self.kind.weight[0]
        x = self.project(self.norm(x))
        for layer in self.layers:
            x = layer(x)
        return (x * self.direction).sum()


class GptBlock(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.attention = Attention(heads, causal=True)

    def forward(self, x):
        x = x + self.proj(self.attention(*self.qkv(self.norm1(x)).chunk(3, -1)))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt2Flex(nn.Module):
    """Adaptive embedding and projected adaptive softmax with tied tables."""

    def __init__(self, config, batch, seq):
        super().__init__()
        width, depth, embed = config["d_model"], config["n_layer"], config["d_embed"]
        per = lambda x: x if isinstance(x, list) else [x] * depth
        self.vocab, self.width = config["n_token"], width
        ends = [e for e in config["cutoffs"] if e < self.vocab] + [self.vocab]
        self.edges = list(zip([0] + ends, ends))
        div = config["div_val"]
        sizes = [(b - a, embed // div**i) for i, (a, b) in enumerate(self.edges)]
        self.tables = nn.ModuleList(nn.Embedding(n, w) for n, w in sizes)
        self.projs = nn.ParameterList(torch.randn(width, w) * 0.01 for _, w in sizes)
        self.biases = nn.ParameterList(torch.zeros(n) for n, _ in sizes)
        tie = (list(config["tie_projs"]) + [True] * len(sizes))[: len(sizes)]
        untied = lambda t, w: nn.Parameter(torch.randn(width, w) * 0.01) if not t else None
        self.out_projs = [untied(t, w) for t, (_, w) in zip(tie, sizes)]
        self.extra = nn.ParameterList(p for p in self.out_projs if p is not None)
        self.clusters = nn.Linear(embed, len(sizes) - 1)
        self.position = nn.Embedding(config["tgt_len"], width)
        layers = zip(per(config["n_head"]), per(config["d_inner"]))
        self.blocks = nn.ModuleList(GptBlock(width, h, i) for h, i in layers)
        self.norm = nn.LayerNorm(width)

    def embed(self, ids):
        flat = ids.reshape(-1)
        out = torch.zeros(flat.numel(), self.width)
        for (a, b), table, proj in zip(self.edges, self.tables, self.projs):
            rows = ((flat >= a) & (flat < b)).nonzero().squeeze(1)
            if rows.numel():
                out = out.index_copy(0, rows, F.linear(table(flat[rows] - a), proj))
        return out.view(*ids.shape, -1) * math.sqrt(self.width)

    def logits(self, h, i):
        proj = self.projs[i] if self.out_projs[i] is None else self.out_projs[i]
        weight, bias = self.tables[i].weight, self.biases[i]
        if i == 0 and len(self.edges) > 1:
            weight, bias = torch.cat([weight, self.clusters.weight]), torch.cat([bias, self.clusters.bias])
        return F.linear(h @ proj, weight, bias)

    def forward(self, ids, labels):
        x = self.embed(ids) + self.position.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        h, target = self.norm(x).reshape(-1, self.width), labels.reshape(-1)
        entry, total = target.clone(), 0
        for i, (a, b) in enumerate(self.edges[1:], 1):
            rows = ((target >= a) & (target < b)).nonzero().squeeze(1)
            entry[rows] = self.edges[0][1] + i - 1
            if rows.numel():
                total = total + F.cross_entropy(self.logits(h[rows], i), target[rows] - a, reduction="sum")
        return (total + F.cross_entropy(self.logits(h, 0), entry, reduction="sum")) / target.numel()


FAMILIES = {"flexibert": FlexiBert, "gpt2-flex": Gpt2Flex}


def eager(record):
    """Seconds of forward and backward in eager PyTorch."""
    config, batch, seq = record["config"], record["batch"], record["seq"]
    model = FAMILIES[config["family"]](config, batch, seq)
    ids = torch.randint(model.vocab, (batch, seq + 1))

    def step():
        model.zero_grad(set_to_none=True)
        model(ids[:, :-1], ids[:, 1:]).backward()

    return best(step, seconds=1.5, calls=3)


def ours(args):
    """The lines of the bench: speed of products, then architectures."""
    command = [args.lpz] if args.lpz else ["cargo", "bench", "--quiet", "--bench", "model", "--"]
    command += [args.bench, str(args.count), str(args.batch), str(args.seq)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    head, *records = (json.loads(line) for line in out.splitlines() if line.startswith("{"))
    return head, records


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seq", type=int, default=128)
    parser.add_argument("--lpz", help="binary of the model's bench")
    args = parser.parse_args()
    head, records = ours(args)
    torch.manual_seed(0)
    torch.set_num_threads(head["threads"])
    print(f"torch {torch.__version__}, {head['threads']} threads, products {head['product'] / 1e9:.0f} GFLOP/s")
    print(f"{'architecture':24} {'GFLOP':>7} {'torch ms':>9} {'lpz ms':>8} {'/torch':>7} {'/products':>9} {'captured':>9}")
    to_torch, to_products = [], []
    for r in records:
        theirs, seconds, work = eager(r), r["seconds"], 3 * r["flops"]
        to_torch.append(seconds / theirs)
        to_products.append(seconds / (work / head["product"]))
        print(f"{r['id'][:24]:24} {work / 1e9:7.1f} {theirs * 1e3:9.1f} {seconds * 1e3:8.1f} {to_torch[-1]:7.2f} "
              f"{to_products[-1]:9.2f} {r['bytes'] / 1e6:6.0f} MB")
    ok = True
    for what, values, bar in [("PyTorch eager", to_torch, 1.0), ("operations / products", to_products, 1.3)]:
        median = statistics.median(values)
        ok &= median <= bar
        print(f"median of ours / {what}: {median:.2f}, bar {bar}: {'pass' if median <= bar else 'FAIL'}")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
