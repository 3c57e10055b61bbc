"""The output of `lpz rank --json` as a Markdown table, best first.

    python3 scripts/library_table.py RANK.json [DOC.json]

DOC.json is what `lpz doc --json` prints; with it the table says what each proxy needs run.
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


def main(path, doc=None):
    report = json.load(open(path))
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
