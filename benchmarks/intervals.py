"""Prediction intervals of a mixture of Gaussians, held to targets that it has not seen.

    python -m benchmarks.intervals [--seeds 0 1 2]

scikit-learn's diabetes set: 442 patients, ten numbers each, and how the disease had progressed a
year later. Five folds, each held out once, for each seed; the same network of 16 units with one
Gaussian whose scale is the same for all inputs, with three of them, and with three that say how
sure they are of an input. Writes `results/intervals.json`: the negative log-likelihood of the
targets held out, in the unit of the standardized target, and the share of them in intervals of 50,
80 and 90 %, with its interval over the patients.
"""

import argparse
import json
import os
from pathlib import Path

import keras
import numpy as np
from keras import layers
from scipy.stats import binomtest
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold

from benchmarks.machine import describe
from moe_common.files import write_text
from moe_keras.evaluation import gaussian_mixture_interval, gaussian_mixture_moments, mean_interval
from moe_keras.gates import SoftmaxGate
from moe_keras.losses import gaussian_mixture_nll
from moe_keras.mixtures import GaussianMoE

RESULTS = Path(__file__).parent / "results" / "intervals.json"
KINDS = {
    "one Gaussian": {"experts": 1, "scales": "expert"},
    "three": {"experts": 3, "scales": "expert"},
    "three, scales by input": {"experts": 3, "scales": "input"},
}
COVERAGES = (0.5, 0.8, 0.9)
EPOCHS = 40


def build(experts, scales):
    numbers = 2 if scales == "input" else 1
    return keras.Sequential(
        [
            layers.Dense(16, "tanh"),
            layers.Dropout(0.2),
            GaussianMoE(
                [layers.Dense(numbers) for _ in range(experts)], SoftmaxGate(experts), scales
            ),
        ]
    )


def fold(kind, seed, x, y, train, test):
    """For the targets held out: negative log-likelihoods, whether each is covered, widths."""
    keras.utils.set_random_seed(seed)
    model = build(**KINDS[kind])
    model.compile(keras.optimizers.AdamW(0.01, weight_decay=0.03), loss=gaussian_mixture_nll)
    center, scale = y[train].mean(), y[train].std()
    model.fit(x[train], (y[train] - center) / scale, batch_size=32, epochs=EPOCHS, verbose=0)
    target = (y[test] - center) / scale
    mixture = model.predict(x[test], verbose=0)
    rows = {"nll": np.array(keras.ops.convert_to_numpy(gaussian_mixture_nll(target, mixture)))}
    rows["error"] = (gaussian_mixture_moments(mixture)[0] - target)[:, 0]
    for coverage in COVERAGES:
        low, high = gaussian_mixture_interval(mixture, coverage)
        rows[f"covered {coverage}"] = ((low <= target) & (target <= high))[:, 0]
        rows[f"width {coverage}"] = (high - low)[:, 0]
    return rows


def held_out(kind, seed, x, y):
    folds = KFold(5, shuffle=True, random_state=seed).split(x)
    rows = [fold(kind, seed, x, y, train, test) for train, test in folds]
    return {name: np.concatenate([part[name] for part in rows]) for name in rows[0]}


def summary(runs):
    """Means over the seeds; the coverage of the first seed with its interval over the patients."""
    result = {
        "nll": [round(v, 3) for v in mean_interval([run["nll"].mean() for run in runs])],
        "root mean square error": round(
            float(np.mean([np.sqrt((run["error"] ** 2).mean()) for run in runs])), 3
        ),
    }
    for coverage in COVERAGES:
        inside = [run[f"covered {coverage}"] for run in runs]
        interval = binomtest(int(inside[0].sum()), len(inside[0])).proportion_ci(method="wilson")
        result[f"{coverage:.0%} interval"] = {
            "covered, each seed": [round(float(i.mean()), 3) for i in inside],
            "first seed, 95 %": [round(interval.low, 3), round(interval.high, 3)],
            "mean width": round(float(np.mean([r[f"width {coverage}"].mean() for r in runs])), 3),
        }
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.intervals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    x, y = load_diabetes(return_X_y=True)
    x = (x / x.std(axis=0)).astype("float32")
    y = y.astype("float32")[:, None]
    results = {}
    for kind in KINDS:
        results[kind] = summary([held_out(kind, seed, x, y) for seed in options.seeds])
        print(kind, results[kind], flush=True)
    run = {"machine": describe(), "epochs": EPOCHS, "seeds": options.seeds, "results": results}
    write_text(options.results, json.dumps(run, indent=1) + "\n")
