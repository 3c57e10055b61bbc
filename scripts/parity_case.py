"""One parity case: runs lpz and joins what it prints into scores.json (see parity.sh)."""
import json
import os
import subprocess
import sys

lpz, case, out, precision, programs = sys.argv[1:]
config = json.load(open(os.path.join(case, "config.json")))
family = config.get("family") or config["model_type"]
encoder = family == "flexibert"

# The names of objectives in the expected files, and in the language.
OBJECTIVES = {
    "flexibert": {"ones": "ones"},
    "gpt2-flex": {"loss": "loss", "ones": "ones"},
    "gpt2": {"loss": "loss", "ones": "ones", "logits": "sum_logits"},
    "llama": {"loss": "loss", "ones": "ones", "logits": "sum_logits"},
}[family]
GROUPS = {"total": "params", "block_linear_weights": "params[linear]"}
GROUPS.update({g: f"params[{g}]" for g in ("embedding", "operation", "ffn", "norm", "head", "blocks")})

FORWARD = ["num_params", "num_params_blocks", "num_params_block_linear", "l2_norm", "activation_distance",
           "head_confidence", "head_confidence_all_linear", "softmax_confidence", "nwot", "meco", "meco_batch",
           "lpzero_bert", "synflow", "logsynflow"]
if encoder:
    FORWARD += ["lpzero_bert_reference", "softmax_confidence_attention"]
if family in ("flexibert", "gpt2"):
    FORWARD += ["synflow_tokens", "logsynflow_tokens"]
if family == "gpt2-flex":
    FORWARD += ["synflow_maskflip", "logsynflow_maskflip"]
PER_OBJECTIVE = ["grad_norm", "snip", "plain", "synaptic_saliency", "head_importance", "head_importance_with_output",
                 "synaptic_diversity", "synaptic_diversity_operation", "fisher", "fisher_broadcast", "zico",
                 "lpzero_gpt2", "eznas", "eznas_nonsingular_sites"]
if family != "llama":
    PER_OBJECTIVE += ["jacobian_cosine", "jacobian_covariance"]


def model_arguments():
    path = lambda n: os.path.join(case, n)
    return ["--model", path("config.json"), "--weights", path("model.safetensors"),
            "--inputs", path("inputs.safetensors"), "--precision", precision]


def number(value):
    """A degenerate score with a known non-finite value is that value; other ones are absent."""
    if isinstance(value, dict):
        return value.get("value")
    return value


def run(programs, objective, *more):
    done = subprocess.run([lpz, "run", *programs, *model_arguments(), "--objective", objective, "--quiet", "--json",
                           *more], stdout=subprocess.PIPE, check=True)
    return [number(s["value"]) for s in json.loads(done.stdout)["scores"]]


def names_in(path):
    lines = open(path).read().splitlines()
    return [line.split()[1] for line in lines if line.startswith("proxy ")]


def std(names):
    return [f"std::{n}" for n in names]


def main():
    os.makedirs(out, exist_ok=True)
    primary = next(iter(OBJECTIVES))
    subprocess.run([lpz, "capture", *model_arguments(), "--quiet", "-o", os.path.join(out, "captured.safetensors")]
                   + [w for o in OBJECTIVES.values() for w in ("--objective", o)], check=True)
    first = OBJECTIVES[primary]
    result = {"n_params": {}, "objective_values": {}, "scores": {"forward": {}}}
    exprs = [w for e in GROUPS.values() for w in ("-e", e)]
    result["n_params"] = dict(zip(GROUPS, run([], first, *exprs)))
    result["scores"]["forward"] = dict(zip(FORWARD, run(std(FORWARD), first)))
    for theirs, ours in OBJECTIVES.items():
        names = PER_OBJECTIVE + (["grasp"] if theirs == primary else [])
        values = run(std(names), ours, "-e", "objective")
        result["scores"][theirs] = dict(zip(names, values))
        result["objective_values"][theirs] = values[-1]
    if os.path.exists(programs):
        values = dict(zip(names_in(programs), run([programs], first)))
        table = {}
        for name, value in values.items():
            if "__" in name:
                source, op = name.split("__")
                table.setdefault(source, {})[op] = value
        result["programs"] = [values.get(f"p{i:02d}") for i in range(12)]
        if table:
            result["unary_table"] = table
    with open(os.path.join(out, "scores.json"), "w") as f:
        json.dump(result, f, indent=1)


main()
