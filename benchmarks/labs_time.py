"""Minutes and memory of every lab: ``python -m benchmarks.labs_time build/labs/summary.json``.

`make labs` leaves the summary. What it says of time and memory goes to benchmarks/results, with the
machine it was measured on.
"""

import argparse
import json
import os
import platform
from pathlib import Path

from moe_common.files import write_text

RESULT = Path(__file__).parent / "results" / "labs_time.json"


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Keep what make labs measured.")
    parser.add_argument("summary", type=Path, nargs="?", default=Path("build/labs/summary.json"))
    kept = measured(json.loads(parser.parse_args(arguments).summary.read_text("utf-8")))
    write_text(RESULT, json.dumps(kept, indent=1) + "\n")
    for lab in kept["labs"]:
        print(f"{lab['lab']}  {lab['minutes']:5.2f} minutes  {lab['gigabytes']:5.2f} GB")
    print(f"all {kept['minutes']:5.2f} minutes  {kept['gigabytes']:5.2f} GB")


def measured(summary):
    """Time and memory of a run's labs.

    Raises:
        ValueError: if the run was a quick one, or a lab of it failed.
    """
    failed = [lab["lab"] for lab in summary["labs"] if lab["error"]]
    if summary["quick"] or failed:
        raise ValueError(
            "Expected the summary of a full run of all labs. Received: "
            f"quick: {summary['quick']}, failed labs: {', '.join(failed) or 'none'}"
        )
    labs = [
        {"data": lab["figures"].get("data", "")}
        | {name: lab[name] for name in ("lab", "title", "minutes", "gigabytes")}
        for lab in summary["labs"]
    ]
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "minutes": round(sum(lab["minutes"] for lab in labs), 2),
        "gigabytes": max(lab["gigabytes"] for lab in labs),
        "labs": labs,
    }


if __name__ == "__main__":
    main()
