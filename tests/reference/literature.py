"""Expected scores of the standard library's literature modules, computed with NumPy alone, and their inputs.

    python3 tests/reference/literature.py tests/data/literature

Writes one.safetensors (tensors of one run), each.safetensors (gradients of every sequence alone) and
expected.json: proxies and expressions with their values. Sizes are small, odd and all different. Formulas are
written from the definitions, by other routes than the programs where there are any (singular values by SVD
instead of Gram matrices, loops over heads and sequences).
"""

import json
import pathlib
import struct
import sys

import numpy as np

B, S, D, F, H, P, LAYERS = 3, 5, 7, 11, 2, 9, 3
PARAMS, BLOCKS, FLOPS = 12345.0, 6789.0, 424242.0
rng = np.random.default_rng(20240607)


def linears(layer):
    """Names, roles and shapes of a block's linears; the middle block has a further feed-forward linear."""
    base = f"encoder.layer.{layer}"
    yield f"{base}.attention.query.weight", ["op", "query"], (D, D)
    yield f"{base}.attention.key.weight", ["op", "key"], (D, D)
    yield f"{base}.attention.value.weight", ["op", "value"], (D, D)
    yield f"{base}.attention.output.weight", ["out"], (D, D)
    yield f"{base}.up.weight", ["ffn", "up"], (F, D)
    if layer == 1:
        yield f"{base}.inner.weight", ["ffn", "inner"], (F, F)
    yield f"{base}.down.weight", ["ffn", "down"], (D, F)


class Site:
    def __init__(self, kind, name, layer, roles, transposed=False):
        self.kind, self.name, self.layer, self.roles, self.transposed = kind, name, layer, roles, transposed
        self.t = {}  # field: array of one run, [out, in] for weights
        self.each = {}  # gradient-like field: array with a leading axis over sequences


def normal(*dims, scale=1.0):
    return rng.normal(size=dims) * scale


def sites():
    """All sites in model order."""
    pos = Site("pos", "embeddings.position.weight", None, [])
    pos.t = {"weight": normal(P, D), "grad": normal(P, D)}
    pos.each = {"grad": normal(B, P, D)}
    pos.each["grad"][:, S:] = 0
    out = [pos]
    for layer in range(LAYERS):
        for name, roles, (rows, cols) in linears(layer):
            site = Site("linear", name, layer, roles, transposed=(layer == 1 and "up" in roles))
            g, ge = normal(rows, cols), normal(B, rows, cols) + 0.5 * normal(rows, cols)
            g[rng.random(size=g.shape) < 0.1] = 0
            ge[:, 0, 0] = 0.75  # does not vary
            ge[:, -1, 1] = 0
            ge[1, 0, 2] *= -1
            site.t = {"weight": normal(rows, cols, scale=0.3), "grad": g, "input": normal(B, S, cols),
                      "output": normal(B, S, rows) + 2.0}
            site.each = {"grad": ge}
            out.append(site)
        for role in ["query", "key", "value"]:
            site = Site("head", f"encoder.layer.{layer}.attention.{role}", layer, [role])
            site.t = {"value": normal(B, S, D), "grad": normal(B, S, D)}
            out.append(site)
        if layer != 2:  # a layer without attention
            site = Site("attn", f"encoder.layer.{layer}.attention", layer, [])
            x = np.exp(normal(B, H, S, S))
            site.t = {"value": x / x.sum(-1, keepdims=True), "grad": normal(B, H, S, S)}
            out.append(site)
        act = Site("act", f"encoder.layer.{layer}.act", layer, [])
        a = normal(B, S, F)
        a[:, :, 8] = a[:, :, 3] * 2  # equal patterns of two channels
        a[2, 4] = a[0, 1] * 3  # and of two tokens
        a[1, 2, :4] = 0
        act.t = {"value": a}
        out.append(act)
        block = Site("block", f"encoder.layer.{layer}", layer, [])
        block.t = {"input": normal(B, S, D), "output": normal(B, S, D) @ normal(D, D) + 1, "output_grad": normal(B, S, D)}
        block.each = {"output_grad": normal(B, 1, S, D)}
        out.append(block)
    return out


SITES = sites()


# Collections and small helpers of the formulas.
def of(kind, *roles):
    return [s for s in SITES if s.kind == kind and (not roles or set(roles) & set(s.roles))]


def svd(x):
    return np.linalg.svd(x, compute_uv=False)


def tokens(x):
    return x.reshape(-1, x.shape[-1])


def pca_variances(x):
    t = tokens(x)
    return np.sort(np.linalg.eigvalsh(np.cov(t.T, bias=True)))[::-1]


def count_to(values, eta):
    share = np.cumsum(values) / np.sum(values)
    return int(np.argmax(share >= eta)) + 1


def plogp(p):
    return -sum(x * np.log(x) for x in p if x > 1e-14)


def capacity(w, noise_variance=1.0):
    return sum(0.5 * np.log1p(s * s / noise_variance) for s in svd(w))


def kernel(x):
    """NASWOT: units that two samples agree on."""
    on = x > 0
    return np.array([[np.sum(a == b) for b in on] for a in on], dtype=float)


def distinct(rows):
    return len({tuple(r) for r in rows.tolist()})


def logdet(m):
    return np.linalg.slogdet(m)[1]


def gain(before, behind):
    n = B * S
    g = tokens(behind) / np.sqrt(np.mean(behind**2))
    m = sum(np.outer(a, b) for a, b in zip(tokens(before), g)) / n / np.sqrt(np.mean(behind**2))
    return svd(m)[0]


def class_score(x):
    return np.sum(np.log(np.abs(np.corrcoef(x)) + 1e-5))


def mms(x):
    return (x - x.min()) / (x.max() - x.min())


def weights():
    L = [s.t["weight"] for s in of("linear")]
    attention = [s.t["weight"] for s in of("linear", "op", "out")]
    ffn = [s.t["weight"] for s in of("linear", "ffn")]
    energy = lambda ws: sum(np.linalg.norm(w) ** 2 for w in ws)
    nuclear = lambda ws: sum(np.linalg.norm(w, "nuc") for w in ws)
    pnorm = lambda p: sum(np.sum(np.abs(w) ** p) ** (1 / p) for w in L)
    values = {
        "nsc": sum(capacity(w) for w in L),
        "nsc_per_input": sum(capacity(w, w.shape[1]) for w in L),
        "zerolm": 0.5 * energy(attention) + 0.5 * energy(ffn),
        "zerolm_nuclear": 0.5 * nuclear(attention) + 0.5 * nuclear(ffn),
        "effective_rank": sum(np.exp(plogp(svd(w) / svd(w).sum())) for w in L),
        "stable_rank": sum((np.linalg.norm(w) / np.linalg.norm(w, 2)) ** 2 for w in L),
        "log_spectral_norm": sum(np.log(np.linalg.norm(w, 2)) for w in L),
        "weight_dimension": np.mean([count_to(svd(w) ** 2, 0.99) / min(w.shape) for w in L]),
        "leading_energy": -np.mean([np.sum(svd(w)[:8] ** 2) / np.sum(svd(w) ** 2) for w in L]),
        "weight_pnorm_1": pnorm(1),
        "weight_pnorm_3": pnorm(3),
        "weight_pnorm_inf": sum(np.abs(w).max() for w in L),
        "log_weight_norm": sum(np.log(np.linalg.norm(w)) for w in L),
    }
    expressions = {
        "spectral_capacity_at(0.5)": sum(capacity(w, 0.25) for w in L),
        "zerolm_balance(operation_energy(), ffn_energy(), alpha = 0.3)": 0.3 * energy(attention) + 0.7 * energy(ffn),
    }
    return values, expressions


def features():
    acts = [s.t["value"] for s in of("act")]
    outs = [s.t["output"] for s in of("block")]
    heads = [s.t["value"] for s in of("head")]
    v_pca = sum(count_to(pca_variances(s.t["output"]), 0.99) for s in of("linear", "up"))
    share = lambda x: pca_variances(x) / pca_variances(x).sum()
    entropies = [sum(-p * np.log(p + 1e-8) for p in share(x)) for x in outs]
    rate = lambda x: 0.5 * sum(np.log1p(D / (B * S * 0.25) * B * S * v) for v in pca_variances(x))
    swap = sum(distinct((a > 0).reshape(B, -1).T) for a in acts)
    values = {
        "v_pca": v_pca,
        "w_pca": PARAMS * v_pca,
        "w_pca_blocks": BLOCKS * v_pca,
        "swap": swap,
        "swap_tokens": sum(distinct((tokens(a) > 0).T) for a in acts),
        "swap_inputs": sum(distinct(tokens(a) > 0) for a in acts),
        "nwot_heads": logdet(sum(kernel(h.reshape(B, -1)) for h in heads)),
        "nwot_per_site": sum(logdet(kernel(a.reshape(B, -1))) for a in acts),
        "logdet_activations": sum(logdet(np.corrcoef(a.reshape(B, -1))) for a in acts),
        "coding_rate": sum(rate(x) for x in outs),
        "feature_rank": sum(np.exp(plogp(share(x))) for x in outs),
        "rankme": sum(np.exp(plogp(svd(tokens(x)) / svd(tokens(x)).sum())) for x in outs),
        "az_expressivity": sum(entropies),
        "az_progressivity": min(b - a for a, b in zip(entropies, entropies[1:])),
        "az_complexity": FLOPS,
    }
    return values, {"swap * swap_regularisation(12000, 1e6)": swap * np.exp(-((PARAMS - 12000) ** 2) / 1e6)}


def attention_maps():
    maps = [(s.t["value"], s.t["grad"]) for s in of("attn")]
    entropy = lambda a: np.mean([plogp(q) for q in a.reshape(-1, S)])
    per_head = lambda a, g: sum(abs(np.sum(a[b, h] * g[b, h])) for b in range(B) for h in range(H)) / B

    def rank(a):
        s = svd(np.concatenate(list(a[0]))) ** 2
        return np.exp(plogp(s / s.sum()))

    return {
        "attention_confidence": sum(a.max(-1).mean() for a, _ in maps),
        "attention_confidence_mean": np.mean([a.max(-1).mean() for a, _ in maps]),
        "attention_entropy": sum(entropy(a) for a, _ in maps),
        "attention_sharpness": sum(np.log(S) - entropy(a) for a, _ in maps),
        "attention_diversity": sum(a.std(axis=1).mean() for a, _ in maps),
        "attention_rank": sum(rank(a) for a, _ in maps),
        "attention_importance": sum(np.abs(a * g).sum() for a, g in maps),
        "attention_head_importance": sum(per_head(a, g) for a, g in maps),
        "head_output_importance": sum(np.abs(s.t["value"] * s.t["grad"]).sum() for s in of("head")),
    }, {}


def pruning():
    L = [(s.t["weight"], s.t["grad"], tokens(s.t["input"])) for s in of("linear")]
    wanda = lambda w, x: sum(abs(w[i, j]) * np.linalg.norm(x[:, j]) for i in range(w.shape[0]) for j in range(w.shape[1]))

    def ria(w, x):
        a = np.abs(w)
        share = a / a.sum(axis=0, keepdims=True) + a / a.sum(axis=1, keepdims=True)
        return np.sum(share * np.linalg.norm(x, axis=0)[None, :] ** 0.5)

    return {
        "wanda": sum(wanda(w, x) for w, _, x in L),
        "wanda_rms": sum(wanda(w, x) / np.sqrt(B * S) for w, _, x in L),
        "ria": sum(ria(w, x) for w, _, x in L),
        "pruner_zero": sum(np.sum(np.abs(w) * np.abs(w) * mms(np.abs(g))) for w, g, _ in L),
        "pruner_zero_signed": sum(np.sum(np.abs(w * w) * mms(g)) for w, g, _ in L),
    }, {}


def dss():
    nuc = lambda s: np.linalg.norm(s.t["weight"], "nuc") * np.linalg.norm(s.t["grad"], "nuc")
    value = sum(nuc(s) for s in of("linear", "op", "out"))
    value += sum(np.abs(s.t["weight"] * s.t["grad"]).sum() for s in of("linear", "ffn"))
    return dict.fromkeys(["dss", "dss_linearised", "dss_projection"], value), {}


def trainability():
    grads = [s.t["grad"] for s in of("linear")]
    behind = [s.t["output_grad"] for s in of("block")]
    gains = [gain(a, b) for a, b in zip(behind, behind[1:])]
    zen = lambda g: np.log(np.mean([np.linalg.norm(x) for x in g]))
    classes = [class_score(behind[0][b]) for b in range(2)]
    return {
        "az_trainability": np.mean([2 - s - 1 / (s + 1e-6) for s in gains]),
        "zen": zen(of("pos")[0].each["grad"]),
        "zen_blocks": zen(of("block")[0].each["output_grad"]),
        "epe": abs(classes[0]) + abs(classes[1]),
        "epe_difference": abs(classes[0] - classes[1]) / 2,
        "grad_pnorm_1": sum(np.abs(g).sum() for g in grads),
        "grad_pnorm_3": sum(np.sum(np.abs(g) ** 3) ** (1 / 3) for g in grads),
        "grad_pnorm_inf": sum(np.abs(g).max() for g in grads),
        "gradient_rank": sum(np.exp(plogp(svd(g) ** 2 / np.sum(svd(g) ** 2))) for g in grads),
    }, {}


def samples():
    L = [(s.each["grad"], s) for s in of("linear")]
    flat = np.concatenate([g.reshape(B, -1) for g, _ in L], axis=1)
    ntk = flat @ flat.T
    v = np.linalg.eigvalsh(ntk)

    def ratios(top, spread):
        """Quotients of the weights that vary; the others count as 0."""
        return [t / s if s > 1e-12 else 0.0 for t, s in zip(top.ravel(), spread.ravel())]

    mean_size = lambda g: np.abs(g).mean(0)
    zico = sum(np.log(np.sum(ratios(mean_size(g), g.std(0)))) for g, _ in L)
    return {
        "ntk_condition": -v[-1] / v[0],
        "ntk_trace": np.trace(ntk),
        "knas": ntk.mean(),
        "ntk_concentration": -v[-1] / v.sum(),
        "gradsign": sum(np.abs(np.sign(g).sum(0)).sum() for g, _ in L),
        "gsnr": sum(np.mean(ratios(g.mean(0) ** 2, g.var(0))) for g, _ in L),
        "grad_snr": sum(np.log(np.sum(ratios(np.abs(g.mean(0)), g.std(0)))) for g, _ in L),
        "zico_text": sum(np.log(np.sum(ratios(mean_size(g), np.abs(g).std(0)))) for g, _ in L),
        "zico_linear": sum(np.sum(ratios(mean_size(g), g.std(0))) for g, _ in L),
        "zico_mean": sum(np.log(np.mean(ratios(mean_size(g), g.std(0)))) for g, _ in L),
        "zico_bias_corrected": zico - 2 * sum(np.log(S / np.sqrt(s.t["weight"].shape[0])) for _, s in L),
    }, {"zico": zico}


def synflow():
    L = [(s.t["weight"], s.t["grad"]) for s in of("linear")]
    log = lambda w, g: sum(a * abs(np.log(abs(b))) for a, b in zip(w.ravel(), g.ravel()) if b != 0)
    return {
        "synflow_projection": sum(np.abs(w * g).sum() for w, g in L),
        "logsynflow_projection": sum(log(w, g) for w, g in L),
    }, {}


# Keys of stored tensors: kind and field to prefix.
PREFIX = {
    "weight": "weight", "input": "linin", "output": "linout", "grad": "grad/projection",
    ("head", "value"): "head", ("head", "grad"): "head_grad/projection",
    ("attn", "value"): "softmax", ("attn", "grad"): "softmax_grad/projection", ("act", "value"): "act",
    ("block", "input"): "block_in", ("block", "output"): "block_out", ("block", "output_grad"): "block_out_grad/projection",
}


def key(site, field):
    return f"{PREFIX.get((site.kind, field), PREFIX.get(field))}/{site.name}"


def description(transposed):
    def record(s):
        fields = {f: list(x.shape) for f, x in s.t.items()}
        flips = s.transposed and transposed
        if s.kind == "linear":
            dims = fields["weight"][::-1] if flips else fields["weight"]
            fields |= {"stored_weight": dims, "stored_grad": dims}
        return {"kind": s.kind, "name": s.name, "layer": s.layer, "roles": s.roles, "transposed": flips, "fields": fields}

    return {
        "format": 1, "default_objective": "projection", "sites": [record(s) for s in SITES],
        "numbers": {"params": PARAMS, "flops": FLOPS, "depth": LAYERS, "width": D, "tokens": B * S, "causal": 0},
        "params": {"blocks": BLOCKS, "linear": sum(s.t["weight"].size for s in of("linear"))},
    }


def write(path, tensors, transposed):
    header, data = {"__metadata__": {"lpz": json.dumps(description(transposed))}}, b""
    for name, x in sorted(tensors.items()):
        raw = np.ascontiguousarray(x, dtype="<f8").tobytes()
        header[name] = {"dtype": "F64", "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def main(folder):
    one, each = {}, {}
    for s in SITES:
        for field, x in s.t.items():
            one[key(s, field)] = x.T if s.transposed and field in ("weight", "grad") else x
        if s.kind == "linear":
            each[key(s, "weight")] = s.t["weight"]
        each |= {key(s, field): x for field, x in s.each.items()}
    write(folder / "one.safetensors", one, True)
    write(folder / "each.safetensors", each, False)
    expected = {"modules": {}, "expressions": {}}
    for module in [weights, features, attention_maps, pruning, dss, trainability, samples, synflow]:
        values, expressions = module()
        expected["modules"][module.__name__] = {k: float(v) for k, v in values.items()}
        expected["expressions"] |= {k: float(v) for k, v in expressions.items()}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
