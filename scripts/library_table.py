"""The output of `lpz rank --json` as a Markdown table, best first.

    python3 scripts/library_table.py RANK.json[,RANK.json...] [DOC.json]

Several outputs of one benchmark, each of a seed of its own (`lpz rank --seed S`), become one table of means; the
interval is then the widest of theirs. DOC.json is what `lpz doc --json` prints; with it the table says what each proxy needs run.
"""

import json
import sys


def number(x, form="{:.3f}"):
    return "–" if x is None else form.format(x)


def row(p, needs):
    mark = " (baseline)" if p["baseline"] else " (rounding noise)" if p["rounding_noise"] else ""
    seeds = p["tau_b_by_seed"]
    interval = p["ci"]["tau_b"]
    return [
        f"`{p['name']}`{mark}", needs.get(p["name"], ""), number(p["tau_b"]),
        "–" if interval is None else f"{interval[0]:.3f} .. {interval[1]:.3f}",
        number(max(seeds) - min(seeds) if seeds else None), number(p["tau_a"]), number(p["rho"]),
        number(p["tau_size_controlled"]), str(p["distinct"]) if p["distinct"] is not None else "–", str(p["n"]),
        number(p["flops"] / 1e9, "{:.2f}"), number(p["seconds"]),
    ]


HEAD = [
    "proxy", "needs", "τ-b", "95 % interval", "spread over seeds", "τ-a", "ρ", "τ at equal size", "distinct", "scored",
    "GFLOP", "s",
]


def mean(values):
    values = [v for v in values if v is not None]
    return sum(values) / len(values) if values else None


def joined(reports):
    """One report of several seeds."""
    first, by_name = reports[0], [{p["name"]: p for p in r["proxies"]} for r in reports]
    proxies = []
    for p in first["proxies"]:
        all_seeds = [b[p["name"]] for b in by_name]
        intervals = [q["ci"]["tau_b"] for q in all_seeds if q["ci"]["tau_b"] is not None]
        means = {k: mean([q[k] for q in all_seeds]) for k in ("tau_b", "tau_a", "rho", "tau_size_controlled", "flops", "seconds")}
        proxies.append({
            **p, **means,
            "rounding_noise": any(q["rounding_noise"] for q in all_seeds),
            "tau_b_by_seed": [q["tau_b"] for q in all_seeds if q["tau_b"] is not None],
            "ci": {"tau_b": [min(i[0] for i in intervals), max(i[1] for i in intervals)] if intervals else None},
            "distinct": min(q["distinct"] or 0 for q in all_seeds),
            "n": min(q["n"] for q in all_seeds),
        })
    proxies.sort(key=lambda p: -2 if p["tau_b"] is None else p["tau_b"], reverse=True)
    return {**first, "proxies": proxies, "seeds": len(reports), "seconds": sum(r["seconds"] for r in reports)}


def main(paths, doc=None):
    report = joined([json.load(open(p)) for p in paths.split(",")])
    entries = json.load(open(doc))["entries"] if doc else []
    needs = {e["name"]: e["needs"] for e in entries if e.get("needs")}
    print(f"{report['bench']}, metric {report['metric']}, {report['n']} architectures, {report['seeds']} seeds; "
          f"{report['seconds']:.0f} s in all. GFLOP and seconds are per architecture.\n")
    print("| " + " | ".join(HEAD) + " |")
    print("|---|---|" + "---:|" * (len(HEAD) - 2))
    for p in report["proxies"]:
        print("| " + " | ".join(row(p, needs)) + " |")
    failed = [p for p in report["proxies"] if p["degenerate"]]
    if failed:
        print("\nWithout a score on some architectures:\n")
        for p in failed:
            print(f"- `{p['name']}` on {report['n'] - p['n']}: {p['degenerate']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
