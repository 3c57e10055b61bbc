#!/usr/bin/env python3
"""Does an evolved proxy pick good architectures? Evolves one, searches with it, trains what it picks.

    scripts/proof.py [--lpz target/release/lpz] [--out proof]

On the space tiny-gpt2, for every parameter budget: `lpz search` picks the architecture with the best score
of the best program of `lpz evolve` (no arguments: the embedded benchmark, a minute). It is trained with
three seeds beside random architectures of the same size (parameters within 10 %), and beside what other
proxies pick within the same budget: the trivial ones (most parameters, most FLOPs, depth * log(width))
and the classical ones given by --proxies. All are trained by `lpz bench make` as the embedded benchmark
was. Prints a table; everything is kept in --out, and finished parts are not done again.

Needs Python's standard library only. About 10 minutes of processor time.
"""
import argparse, json, os, statistics, subprocess, sys

TRAIN = "--synthetic --steps 500 --batch 8 --seq 64 --lr 0.005".split()
TRIVIAL = ["std::num_params", "std::flops", "std::depth_logwidth"]


def lpz(args, *rest):
    return subprocess.run([args.lpz, *map(str, rest)], check=True, capture_output=True, text=True).stdout


def kept(path, make):
    """The JSON in `path`, made when it is not there."""
    if not os.path.exists(path):
        text = json.dumps(make())
        with open(path + ".tmp", "w") as f:
            f.write(text)
        os.replace(path + ".tmp", path)
    return json.load(open(path))


def trained(args, name, space, count):
    """Losses per seed of `count` architectures of a space: a list of (config, params, losses)."""
    path, bench = os.path.join(args.out, name + ".space.json"), os.path.join(args.out, name + ".jsonl")
    json.dump(space, open(path, "w"))
    if not os.path.exists(bench):
        lpz(args, "bench", "make", "--space", path, "--count", count, *TRAIN, "--seeds", args.seeds, "-o", bench, "--quiet")
    records = [json.loads(line) for line in open(bench)][1:]
    losses = lambda r: [r["metrics"][f"valid_loss_s{s}"] for s in range(args.seeds)]
    return [(r["config"], r["facts"]["params"], r["facts"]["flops"], losses(r)) for r in records]


def alone(config):
    """A space that holds one architecture."""
    return {"space": "alone", "base": config, "depth": {"values": [config["n_layer"]]}}


def evolved(args):
    folder = os.path.join(args.out, "evolve")
    best = kept(folder + ".json", lambda: json.loads(lpz(args, "evolve", "--out", folder, "--seed", args.seed, "--json", "--quiet")))["best"][0]
    return f"{folder}/hall_of_fame.lpz::{best['name']}", best


def pick(args, proxy, budget):
    """The architecture with the best score within a budget."""
    name = proxy.split("::")[-1]
    search = lambda: json.loads(lpz(args, "search", "--space", "tiny-gpt2", "--proxy", proxy, "--params-max", budget, "--evaluations",
                                    args.evaluations, "--batch", 8, "--seq", 64, "--seed", args.seed, "--json", "--quiet"))
    found = kept(os.path.join(args.out, f"search-{name}-{budget}.json"), search)
    return trained(args, f"pick-{name}-{budget}", alone(found["front"][0]["config"]), 1)[0]


def shape(c):
    return f"{c['n_layer']} x {c['d_model']}, inner {'/'.join(map(str, c['d_inner']))}, heads {'/'.join(map(str, c['n_head']))}"


def report(args, budget, proxy, base, seen):
    rows = [(p.split("::")[-1], *pick(args, p, budget)) for p in [proxy, *TRIVIAL, *args.proxies]]
    size = rows[0][2]
    space = dict(base, constraints={"params": {"min": 0.9 * size, "max": 1.1 * size}})
    random = trained(args, f"random-{budget}", space, args.random)
    means = sorted(statistics.mean(losses) for *_, losses in random)
    print(f"\nbudget {budget} parameters; {len(random)} random architectures of {0.9 * size:.0f} to {1.1 * size:.0f}: "
          f"mean {statistics.mean(means):.4f}, best {means[0]:.4f}, worst {means[-1]:.4f}")
    print(f"{'picked by':<36} {'params':>7} {'MFLOP':>6}  {'loss per seed':<22}  {'mean':>6}  beats  architecture")
    for name, config, params, flops, losses in rows:
        mean = statistics.mean(losses)
        beats = f"{sum(mean < m for m in means)}/{len(means)}"
        known = "  (in the benchmark)" if json.dumps(config, sort_keys=True) in seen else ""
        print(f"{name:<36} {params:>7.0f} {flops / 1e6:>6.1f}  {' '.join(f'{x:.4f}' for x in losses):<22}  {mean:.4f}  {beats:>5}  {shape(config)}{known}")
    return {name: (statistics.mean(losses), means) for name, *_, losses in rows}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--lpz", default="target/release/lpz")
    ap.add_argument("--out", default="proof")
    ap.add_argument("--budgets", type=int, nargs="+", default=[30000, 60000, 120000])
    ap.add_argument("--proxies", nargs="*", default=["std::grad_norm", "std::snip"])
    ap.add_argument("--random", type=int, default=8)
    ap.add_argument("--seeds", type=int, default=3)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--evaluations", type=int, default=400)
    args = ap.parse_args()
    os.makedirs(args.out, exist_ok=True)
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples")
    base = json.load(open(os.path.join(here, "spaces", "tiny-gpt2.json")))
    seen = {json.dumps(json.loads(line)["config"], sort_keys=True) for line in list(open(os.path.join(here, "tiny-gpt2.jsonl")))[1:]}
    proxy, best = evolved(args)
    print(f"best of `lpz evolve`: {best['name']}, test tau {best['test']['tau_a']:.3f}\n{best['source']}")
    all_results = [report(args, b, proxy, base, seen) for b in args.budgets]
    print(f"\nover {len(args.budgets)} budgets{'':<22}  mean of random less its own loss   beats")
    for name in all_results[0]:
        gain = statistics.mean(statistics.mean(means) - mean for r in all_results for mean, means in [r[name]])
        beats = sum(mean < m for r in all_results for mean, means in [r[name]] for m in means)
        print(f"{name:<36} {gain:>+12.4f}{'':<24} {beats}/{sum(len(r[name][1]) for r in all_results)}")


if __name__ == "__main__":
    sys.exit(main())
