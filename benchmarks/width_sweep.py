"""Train all that lab 03 compares at a small width, several times, and write how good each is.

    python -m benchmarks.width_sweep

At full size nobody trains this many networks on two cores. At a small width, on images of half the
size and for few epochs, one can: a base, a second base, experts, a gate, and plain CNNs with the
parameters, the compute and the training of the whole mixture. Interrupt it as you like: finished
networks stay, and it goes on where it was.
"""

import argparse
import csv
import json
import os
import pathlib

# The epochs of the networks that come with the package are 20, 60, 45 and 8: the same shares.
EPOCHS = {"base": 3, "natural": 9, "artificial": 7, "group-gate": 1}
WIDTHS = (8, 32, 32)
PARAMETERS = (16, 66, 66)  # those of four networks of WIDTHS, within 1 %
COMPUTE = (
    13,
    53,
    53,
)  # the multiply-adds of two: a gate and the one expert that it asks, within 2 %
LONGER = 12  # epochs in which a base is shown as many images as the four networks together


def arguments():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.width_sweep", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--networks", type=pathlib.Path, default="build/width-sweep")
    parser.add_argument("--results", type=pathlib.Path, default="moe_labs/exercises")
    return parser.parse_args()


def plan(seed):
    """What is trained for one seed: (folder, network, widths, epochs, seed) of each."""
    first = f"seed-{seed}"
    return [
        *((first, network, WIDTHS, epochs, seed) for network, epochs in EPOCHS.items()),
        (f"{first}-second", "base", WIDTHS, EPOCHS["base"], 100 + seed),
        (f"{first}-parameters", "base", PARAMETERS, EPOCHS["base"], seed),
        (f"{first}-compute", "base", COMPUTE, EPOCHS["base"], seed),
        (f"{first}-longer", "base", WIDTHS, LONGER, seed),
    ]


def write(folder, rows, facts):
    """Write the rows as CSV, and what they were made with as JSON."""
    from moe_common.files import replacing, write_text

    with (
        replacing(folder / "width_sweep.csv") as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(folder / "width_sweep.json", json.dumps(facts, indent=1) + "\n")


def main():
    options = arguments()
    # Before TensorFlow and NumPy start their threads.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(options.threads)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["KERAS_BACKEND"] = "tensorflow"

    from benchmarks import machine
    from benchmarks.sweep_networks import small_images, train
    from benchmarks.sweep_rows import rows_of

    images, rows = small_images(), []
    for seed in options.seeds:
        for folder, *network in plan(seed):
            train(options.networks / folder, *network, images)
        rows += rows_of(seed, options.networks, images)
        facts = {
            **machine.describe(),
            "threads": options.threads,
            "pixels": images.x_train.shape[1],
            "seeds": options.seeds[: options.seeds.index(seed) + 1],
            "widths": {"networks": WIDTHS, "parameters": PARAMETERS, "compute": COMPUTE},
            "epochs": {**EPOCHS, "longer base": LONGER},
        }
        write(options.results, rows, facts)
    print(f"Written to {options.results}")


if __name__ == "__main__":
    main()
