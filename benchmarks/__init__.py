"""Cost of mixtures, as ratios to one dense network: `python -m benchmarks --help`."""
