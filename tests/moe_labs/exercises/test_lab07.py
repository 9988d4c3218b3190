"""Mutation tests of lab 07, with answers that its declarations do not list."""

import numpy as np
from keras import ops
from mutations import MutationTests

from moe_labs.exercises import lab07


def own(images, labels, class_ids):
    keep = np.isin(labels, class_ids)
    return images[keep], np.searchsorted(class_ids, labels[keep])


def own_by_a_table(images, labels, class_ids):
    place = {class_id: i for i, class_id in enumerate(class_ids)}
    keep = [i for i, label in enumerate(labels) if label in place]
    return images[keep], np.array([place[labels[i]] for i in keep])


def own_by_those_present(images, labels, class_ids):
    keep = np.isin(labels, class_ids)
    return images[keep], np.unique(labels[keep], return_inverse=True)[1]


def group_sums(said, groups, put_together=np.sum):
    return np.stack([put_together(said[:, list(ids)], axis=1) for ids in groups], axis=1)


def group_sums_by_matrix(said, groups):
    member = np.array([[c in ids for ids in groups] for c in range(said.shape[1])], "float32")
    return said @ member


def group_sums_by_ops(said, groups):
    return ops.stack([sum(said[:, c] for c in ids) for ids in groups], axis=-1)


def blame(first, halves, right):
    reaches = first.argmax(axis=1) == halves
    return np.mean(~reaches), np.mean(reaches & ~right)


def blame_by_loop(first, halves, right):
    gate = expert = 0
    for (low, high), half, own_right in zip(first, halves, right, strict=True):
        if (high > low) != half:
            gate += 1
        elif not own_right:
            expert += 1
    return gate / len(halves), expert / len(halves)


def hierarchy(first, weights, base, experts):
    inner = [w[..., 0] * base + w[..., 1] * e for w, e in zip(weights, experts, strict=True)]
    return first[:, :1] * inner[0] + first[:, 1:] * inner[1]


def hierarchy_by_einsum(first, weights, base, experts):
    said = np.stack([np.stack([base, e], axis=-1) for e in experts], axis=1)  # (B, G, C, 2)
    return np.einsum("bg,bgce,bgce->bc", first, np.stack(weights, axis=1), said)


def moved(model, train, **tolerance):
    before = [np.copy(w) for w in model.get_weights()]
    train()
    return [
        w.path
        for w, old in zip(model.weights, before, strict=True)
        if not np.allclose(old, ops.convert_to_numpy(w), **tolerance)
    ]


def moved_by_sums(model, train):
    before = [float(np.sum(values)) for values in model.get_weights()]
    train()
    after = [float(np.sum(values)) for values in model.get_weights()]
    triples = zip(model.weights, before, after, strict=True)
    return [w.path for w, old, new in triples if abs(old - new) > 1e-5]


def moved_in_the_first_entry(model, train):
    before = [values.flat[0] for values in model.get_weights()]
    train()
    triples = zip(model.weights, before, model.get_weights(), strict=True)
    return [w.path for w, old, new in triples if old != new.flat[0]]


def moved_upwards(model, train):
    before = model.get_weights()
    train()
    triples = zip(model.weights, before, model.get_weights(), strict=True)
    return [w.path for w, old, new in triples if (new > old).any()]


def moved_and_put_back(model, train):
    before = model.get_weights()
    paths = moved(model, train)
    model.set_weights(before)
    return paths


def moved_weights_themselves(model, train):
    before = {w.path: ops.convert_to_numpy(w).copy() for w in model.weights}
    train()
    return tuple(w for w in model.weights if (before[w.path] != ops.convert_to_numpy(w)).any())


def moved_as_a_set(model, train):
    before = model.get_weights()
    train()
    after = model.get_weights()
    return {w.path for w, a, b in zip(model.weights, before, after, strict=True) if (a != b).any()}


def across(counts, group):
    others = [c for c in range(len(counts)) if c not in group]
    return counts[np.ix_(group, others)].sum() + counts[np.ix_(others, group)].sum()


def across_by_mask(counts, group):
    inside = np.isin(np.arange(len(counts)), group)
    return (counts * (inside[:, None] ^ inside)).sum()


RIGHT = {
    "own": [own, own_by_a_table, lambda x, y, ids: list(own_by_a_table(x, y, ids))],
    "group_probabilities": [group_sums, group_sums_by_matrix, group_sums_by_ops],
    "blame": [blame, blame_by_loop, lambda f, h, r: np.array(blame(f, h, r))],
    "hierarchy": [hierarchy, hierarchy_by_einsum],
    "moved_weights": [moved, moved_as_a_set, moved_weights_themselves],
    "errors_across": [across, across_by_mask],
}

WRONG = {
    "own": [
        own_by_those_present,
        lambda x, y, ids: (x[y >= ids[0]], y[y >= ids[0]]),
        lambda x, y, ids: (own(x, y, ids)[0], len(ids) - 1 - own(x, y, ids)[1]),
        lambda x, y, ids: own(x, y, ids)[0],
        lambda x, y, ids: (np.unique(own(x, y, ids)[0], axis=0), own(x, y, ids)[1]),
        lambda x, y, ids: tuple(part[np.argsort(own(x, y, ids)[1])] for part in own(x, y, ids)),
        lambda x, y, ids: (own(x, y, ids)[0] / 255, own(x, y, ids)[1]),
        lambda x, y, ids: (own(x, y, ids)[0], np.eye(len(ids))[own(x, y, ids)[1]]),
        lambda x, y, ids: tuple(part[:5] for part in own(x, y, ids)),
        lambda x, y, ids: own(x, y, tuple(range(ids[0], ids[-1] + 1))),
        lambda x, y, ids: (own(x, y, ids)[0], y[np.isin(y, ids)] // 2),
        lambda x, y, ids: (x[~np.isin(y, ids)], own(x, y, ids)[1]),
        lambda x, y, ids: (own(x, y, ids)[0], own(x, y, ids)[1][::-1]),
    ],
    "group_probabilities": [
        lambda p, g: p,
        lambda p, g: group_sums(p, g[:2]),
        lambda p, g: group_sums(p, sorted(g)),
        lambda p, g: np.stack([1 - np.prod(1 - p[:, list(ids)], axis=1) for ids in g], axis=1),
        lambda p, g: np.repeat(group_sums(p, g)[:1], len(p), axis=0),
        lambda p, g: group_sums(p, g).astype(int),
        lambda p, g: np.exp(group_sums(p, g)) / np.exp(group_sums(p, g)).sum(1, keepdims=True),
        lambda p, g: group_sums(p, g, np.median),
        lambda p, g: np.sort(group_sums(p, g)),
        lambda p, g: group_sums(p, g, np.mean) / group_sums(p, g, np.mean).sum(1, keepdims=True),
        lambda p, g: 1 - group_sums(p, g),
        lambda p, g: np.stack([p[:, ids[0]] for ids in g], axis=1),
        lambda p, g: np.log(group_sums(p, g)),
        lambda p, g: np.stack([p[:, :5].sum(axis=1), p[:, 5:].sum(axis=1)], axis=1),
        lambda p, g: group_sums(p, g).mean(axis=0),
    ],
    "blame": [
        lambda f, h, r: sum(blame(f, h, r)),
        lambda f, h, r: (blame(f, h, r)[0], 1 - blame(f, h, r)[0]),
        lambda f, h, r: blame(f, 1 - h, r),
        lambda f, h, r: blame(1 - f, h, r),
        lambda f, h, r: ((f[:, 0] < 0.5).mean(), blame(f, h, r)[1]),
        lambda f, h, r: blame(f, h, ~r),
        lambda f, h, r: tuple(round(share, 1) for share in blame(f, h, r)),
        lambda f, h, r: tuple(int(share) for share in blame(f, h, r)),
        lambda f, h, r: (blame(f, h, r)[0], blame(f, h, r)[1] - blame(f, h, r)[0]),
        lambda f, h, r: (f.argmax(axis=1) != h, (f.argmax(axis=1) == h) & ~r),
        lambda f, h, r: (0.3, 0.1),
        lambda f, h, r: blame(f[:7], h[:7], r[:7]),
        lambda f, h, r: (blame(f, h, r)[0] * np.mean(~r), blame(f, h, r)[1]),
    ],
    "hierarchy": [
        lambda f, w, b, e: hierarchy(f, w, b, e) / 2,
        lambda f, w, b, e: hierarchy(f, w, b, e).argmax(axis=1),
        lambda f, w, b, e: hierarchy(f, w, b, e[::-1]),
        lambda f, w, b, e: hierarchy(f, w[::-1], b, e),
        lambda f, w, b, e: hierarchy(f[:1], w, b, e),
        lambda f, w, b, e: np.maximum(f[:, :1] * e[0], f[:, 1:] * e[1]),
        lambda f, w, b, e: hierarchy(f, [v.mean(axis=1, keepdims=True) for v in w], b, e),
        lambda f, w, b, e: hierarchy(f, [np.round(v) for v in w], b, e),
        lambda f, w, b, e: hierarchy(f, w, b, e)[::-1],
        lambda f, w, b, e: hierarchy(f, w, b, [e[0], e[0]]),
        lambda f, w, b, e: np.eye(b.shape[1])[hierarchy(f, w, b, e).argmax(axis=1)],
        lambda f, w, b, e: hierarchy(f, w, b, e) + b,
        lambda f, w, b, e: hierarchy(f**2, w, b, e),
        lambda f, w, b, e: hierarchy(f, [v[:, :10] for v in w], b[:, :10], [x[:, :10] for x in e]),
    ],
    "moved_weights": [
        lambda m, t: [w.path for w in m.weights],
        lambda m, t: len(moved(m, t)),
        moved_by_sums,
        lambda m, t: moved(m, t)[:1],
        lambda m, t: moved(m, t, atol=1.0),
        lambda m, t: moved(m, lambda: (t(), t())),
        lambda m, t: (moved(m, t), moved(m, t))[0],
        moved_in_the_first_entry,
        moved_upwards,
        moved_and_put_back,
        lambda m, t: [w.shape for w in m.weights if w.path in moved(m, t)],
        lambda m, t: [path for path in moved(m, t) if "kernel" in path],
        lambda m, t: {path.split("/")[0] for path in moved(m, t)},
        lambda m, t: [bool(path) for path in moved(m, t)],
        lambda m, t: ", ".join(moved(m, t)),
        lambda m, t: ["model/gate/kernel", "model/norm/moving_mean"] if t() is None else None,
    ],
    "errors_across": [
        lambda c, g: across(c, g) / 2,
        lambda c, g: across(c, g) + 1,
        lambda c, g: across(c, g[:1]),
        lambda c, g: across(c, tuple(range(len(g)))),
        lambda c, g: across(np.triu(c), g),
        lambda c, g: across(c > 0, g),
        lambda c, g: c[g[0], :].sum() - c[g[0], g[0]],
        lambda c, g: across(np.minimum(c, c.T), g),
        lambda c, g: abs(np.subtract(*(c[list(g)].sum(), c[:, list(g)].sum()))),
        lambda c, g: across(c, tuple(range(len(c) // 2))),
        lambda c, g: 2 * across(np.minimum(c, c.T), g),
        lambda c, g: across(c[:5, :5], tuple(i for i in g if i < 5)),
        lambda c, g: c[np.ix_(g, [i for i in range(len(c)) if i not in g])],
    ],
}


class TestLab07(MutationTests):
    lab, right, wrong = lab07, RIGHT, WRONG
