"""Writes tests/data/scipy_metrics.json: rank statistics of 50 random pairs of vectors with ties, from SciPy.

    pip install numpy scipy && python tests/reference/metrics.py
"""

import json
import pathlib
import warnings

import numpy as np
import scipy
from scipy import stats

warnings.filterwarnings("ignore")


def number(x):
    return None if np.isnan(x) else float(x)


def case(rng, index):
    n = int(rng.integers(2, 70))
    levels = int(rng.integers(1, 30))
    x = rng.integers(0, levels, n).astype(float) if index % 5 else rng.normal(size=n)
    y = rng.integers(0, levels + 1, n) + (0.6 * x if index % 2 else 0)
    if index % 7 == 0:
        x, y = np.round(rng.normal(size=n) * 1e3, 0) * 1e-2, np.round(rng.normal(size=n), 1)
    if n == 2:
        y = np.array([1.0, 3.0])
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "tau_b": number(stats.kendalltau(x, y).statistic),
        "rho": number(stats.spearmanr(x, y).statistic),
        "r": number(stats.pearsonr(x, y).statistic),
        "tau_weighted": number(stats.weightedtau(x, y).statistic),
    }


def main():
    rng = np.random.default_rng(20230517)
    cases = [case(rng, i) for i in range(50)]
    path = pathlib.Path(__file__).parent.parent / "data" / "scipy_metrics.json"
    path.write_text(json.dumps({"scipy": scipy.__version__, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
