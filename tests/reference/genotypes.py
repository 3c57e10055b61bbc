"""Writes LPZero genotypes as .lpz programs: one file per parity case with `programs` or `unary_table`.

    python3 tests/reference/genotypes.py CASES_DIR tests/data/programs

Program i of a case is `pNN`; the entry (input, operation) of its table is `input__operation`. A genotype is
{"input_geno": [in1, in2], "op_geno": [[u1, u2], [u3, u4], b]}. A branch with `disconnect` has no value: the
other one is the value of the pair, and without any the program is left out. A program with an empty
list is -1.
"""

import json
import pathlib
import sys

# LPZero's operations in its order, which are functions of std::lpzero.
UNARY = [
    "element_wise_log", "element_wise_abslog", "element_wise_abs", "element_wise_pow", "element_wise_exp",
    "normalize", "element_wise_relu", "element_wise_invert", "frobenius_norm", "element_wise_normalized_sum",
    "l1_norm", "softmax", "sigmoid", "logsoftmax", "element_wise_sqrt", "element_wise_revert",
    "min_max_normalize", "to_mean_scalar", "to_std_scalar", "no_op", "disconnect",
]
BINARY = ["element_wise_sum", "element_wise_difference", "element_wise_product", "matrix_multiplication"]
DISCONNECT = UNARY.index("disconnect")

# What each input is: collection and field. None is the empty list.
ENCODER = {
    "act": ("act", "value"),
    "head": ("head[query, input]", "value"),
    "softmax": ("softmax", "value"),
    "grad": ("linear[op]", "stored_grad"),
    "weight": ("linear[op]", "stored_weight"),
}
GPT2 = {
    "act": ("linear", "output"),
    "head": ("linear", "output"),
    "softmax": None,
    "grad": ("linear", "stored_grad"),
    "weight": ("linear", "stored_weight"),
}
INPUTS = {"flexibert": ENCODER, "gpt2": GPT2, "gpt2-flex": GPT2}


def branch(ops, tensor):
    """The number that a branch gives, or None."""
    if DISCONNECT in ops:
        return None
    for op in ops:
        tensor = f"{UNARY[op]}({tensor})"
    return f"mean({tensor})"


def program(name, genotype, inputs):
    first, second, binary = genotype["op_geno"]
    lists = [inputs[i] for i in genotype["input_geno"]]
    names = lambda ops: "|".join(UNARY[op] for op in ops)
    docs = f"/// {', '.join(genotype['input_geno'])}; ({names(first)} ; {names(second)}) {BINARY[binary]}.\n"
    if None in lists:
        return docs + f"/// One of the lists is empty in this family, which LPZero scores as -1.\nproxy {name} = -1\n"
    (left, left_field), (right, right_field) = lists
    values = [branch(first, f"a.{left_field}"), branch(second, f"b.{right_field}")]
    values = [v for v in values if v is not None]
    if not values:
        return None
    body = values[0] if len(values) == 1 else f"{BINARY[binary]}({values[0]}, {values[1]})"
    return docs + f"proxy {name} = mean (a, b) in zip({left}, {right}) {{ {body} }}\n"


def table(inputs):
    for source, sites in inputs.items():
        for op in UNARY[:DISCONNECT]:
            if sites is not None:
                collection, field = sites
                body = f"mean x in {collection} {{ mean({op}(x.{field})) }}"
                yield f"proxy {source}__{op} = {body}\n"


def case(expected):
    inputs = INPUTS[expected["family"]]
    parts = []
    for i, entry in enumerate(expected.get("programs", [])):
        parts.append(program(f"p{i:02d}", entry["genotype"], inputs))
    if "unary_table" in expected:
        parts.append("// Each operation alone, on each input.\n" + "".join(table(inputs)))
    head = "//! Programs of LPZero's space, written by tests/reference/genotypes.py.\nuse std::lpzero\n"
    return "\n".join([head] + [p for p in parts if p])


def main():
    cases, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(cases.glob("*/expected.json")):
        expected = json.loads(path.read_text())
        if "programs" in expected or "unary_table" in expected:
            (out / f"{path.parent.name}.lpz").write_text(case(expected))


if __name__ == "__main__":
    main()
