"""BARO (Pham, Ha, Zhang; FSE 2024) written anew from its paper in plain numpy, to be timed beside `cargo bench --bench diagnose`.

Not the authors' code. Two stages: multivariate Bayesian online change point detection (Adams and MacKay 2007, Student-t of several dimensions, constant hazard
1/50) on the latencies, and the robust scorer: median and interquartile range before the change, the largest score after it. Usage: baro.py FOLDER, with a
CSV a case (columns NODE_MEASURE), the row of the fault and the name of the culprit behind '@' in the file's name. Reading is not timed, nor is a first round
that warms up; of the others the median of the mean over the cases counts, as on the other side. The scorer alone is told when the fault began, which is what the
other side is told too: that is the comparison of like with like. The whole of BARO finds that moment itself. Prints one line of JSON."""

import json
import math
import pathlib
import sys
import time

import numpy as np

ROUNDS = 3


def changepoint(data, hazard=1 / 50):
    """The row at which the most probable run length falls furthest."""
    rows, d = data.shape
    mean = np.zeros((1, d))
    scale = np.eye(d)[None] * 1.0
    kappa, dof = np.ones(1), np.full(1, d + 1.0)
    run = np.ones(1)
    lengths = np.zeros(rows + 1, dtype=int)
    lgamma = np.vectorize(math.lgamma)
    for t in range(rows):
        x = data[t]
        nu = dof - d + 1
        shape = scale * ((kappa + 1) / (kappa * nu))[:, None, None]
        inverse = np.linalg.inv(shape)
        _, logdet = np.linalg.slogdet(shape)
        off = x - mean
        maha = np.einsum("ri,rij,rj->r", off, inverse, off)
        logp = (
            lgamma((nu + d) / 2) - lgamma(nu / 2) - d / 2 * np.log(nu * np.pi) - logdet / 2 - (nu + d) / 2 * np.log1p(maha / nu)
        )
        p = np.exp(np.clip(logp, -700, 700))
        grown = run * p * (1 - hazard)
        run = np.concatenate([[np.sum(run * p) * hazard], grown])
        run /= max(run.sum(), 1e-300)
        lengths[t + 1] = int(np.argmax(run))
        new_mean = (kappa[:, None] * mean + x) / (kappa + 1)[:, None]
        new_scale = scale + (kappa / (kappa + 1))[:, None, None] * np.einsum("ri,rj->rij", off, off)
        mean = np.concatenate([np.zeros((1, d)), new_mean])
        scale = np.concatenate([np.eye(d)[None], new_scale])
        kappa = np.concatenate([[1.0], kappa + 1])
        dof = np.concatenate([[d + 1.0], dof + 1])
    falls = lengths[:-1] - lengths[1:]
    return int(np.argmax(falls))


def robust_scorer(columns, at):
    scores = []
    for name, values in columns.items():
        before, after = values[:at], values[at:]
        low, median, high = np.percentile(before, [25, 50, 75])
        spread = high - low
        z = (after - median) / (spread if spread > 0 else 1.0)
        scores.append((float(np.max(z)), name))
    scores.sort(reverse=True)
    seen = []
    for _, name in scores:
        node = name.rsplit("_", 1)[0]
        if node not in seen:
            seen.append(node)
    return seen


def main(folder):
    cases, rounds = [], []
    for path in sorted(pathlib.Path(folder).glob("*.csv")):
        with open(path, encoding="utf-8") as file:
            names = file.readline().strip().split(",")
        table = np.loadtxt(path, delimiter=",", skiprows=1)
        at = int(path.stem.split("@")[1])
        culprit = path.stem.split("@")[2]
        cases.append((culprit, at, {name: table[:, place] for place, name in enumerate(names)}))
    for _ in range(ROUNDS + 1):
        once = {"scorer": 0.0, "baro": 0.0, "right": 0, "baro_right": 0}
        for culprit, at, columns in cases:
            begun = time.perf_counter()
            ranked = robust_scorer(columns, at)
            once["scorer"] += time.perf_counter() - begun
            once["right"] += ranked[0] == culprit
            begun = time.perf_counter()
            latency = np.stack([values for name, values in columns.items() if name.endswith("_Latency")], axis=1)
            spread = latency.std(axis=0)
            latency = (latency - latency.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
            ranked = robust_scorer(columns, max(changepoint(latency), 2))
            once["baro"] += time.perf_counter() - begun
            once["baro_right"] += ranked[0] == culprit
        rounds.append(once)
    told = {name: float(np.median([once[name] for once in rounds[1:]])) for name in rounds[0]}
    print(
        json.dumps(
            {
                "cases": len(cases),
                "scorer_ms": 1e3 * told["scorer"] / len(cases),
                "baro_ms": 1e3 * told["baro"] / len(cases),
                "right": int(told["right"]),
                "baro_right": int(told["baro_right"]),
            }
        )
    )


main(sys.argv[1])
