"""Times of steps taken in turns, as ratios to one of them."""

import time

import numpy as np


def times_in_turns(steps, rounds, tick=lambda: None):
    """Seconds of each step in each round, {name: (rounds,)}; in turns, so that load hits all."""
    for step in steps.values():
        step()  # traced, and memory laid out
        step()
    taken = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            step()  # not timed: it finds the caches as the other steps left them
            start = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - start)
        tick()
    return taken


def ratio(times, limit, samples=1000, seed=0):
    """Median time by median limit, with a 95% interval by a bootstrap over the rounds."""
    times, limit = np.asarray(times), np.asarray(limit)
    rounds = np.random.default_rng(seed).integers(len(times), size=(samples, len(times)))
    drawn = np.median(times[rounds], axis=1) / np.median(limit[rounds], axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(np.median(times) / np.median(limit)), float(low), float(high)
