"""Mutation tests of lab 07: right answers pass; plausible wrong ones hear the right message."""

import numpy as np
from keras import ops
from mutations import MutationTests

from moe_keras.checks import lab07


def own(images, labels, class_ids):
    keep = np.isin(labels, class_ids)
    return images[keep], np.searchsorted(class_ids, labels[keep])


def own_by_a_table(images, labels, class_ids):
    place = {class_id: i for i, class_id in enumerate(class_ids)}
    keep = [i for i, label in enumerate(labels) if label in place]
    return images[keep], np.array([place[labels[i]] for i in keep])


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


def moved(model, train, of="weights", differs=True, name="path"):
    watched = getattr(model, of)
    before = [ops.convert_to_numpy(w).copy() for w in watched]
    train()
    return [
        getattr(w, name)
        for w, old in zip(watched, before, strict=True)
        if np.array_equal(old, ops.convert_to_numpy(w)) != differs
    ]


def moved_as_a_set(model, train):
    before = model.get_weights()
    train()
    after = model.get_weights()
    return {w.path for w, a, b in zip(model.weights, before, after, strict=True) if (a != b).any()}


def moved_without_copies(model, train):
    before = list(model.weights)
    train()
    pairs = zip(model.weights, before, strict=True)
    return [now.path for now, was in pairs if bool(ops.any(now.value != was.value))]


def all_of(model, train, of="weights"):
    train()
    return [w.path for w in getattr(model, of)]


def across(counts, group):
    others = [c for c in range(len(counts)) if c not in group]
    return counts[np.ix_(group, others)].sum() + counts[np.ix_(others, group)].sum()


def across_by_mask(counts, group):
    inside = np.isin(np.arange(len(counts)), group)
    return (counts * (inside[:, None] ^ inside)).sum()


def out_of(counts, group):
    inside = np.isin(np.arange(len(counts)), group)
    return counts[inside][:, ~inside].sum()


def wrong(counts):
    return counts.sum() - np.trace(counts)


RIGHT = {
    "own": [own, own_by_a_table],
    "group_probabilities": [group_sums, group_sums_by_matrix, group_sums_by_ops],
    "blame": [blame, blame_by_loop],
    "hierarchy": [hierarchy, hierarchy_by_einsum],
    "moved_weights": [moved, moved_as_a_set],
    "errors_across": [across, across_by_mask],
}

WRONG = {
    "own": [
        (lambda x, y, ids: (x[np.isin(y, ids)], y[np.isin(y, ids)]), "still those of all"),
        (lambda x, y, ids: (x[np.isin(y, ids)], y[np.isin(y, ids)] - ids[0]), "without a gap"),
        (lambda x, y, ids: own(x, y, ids)[::-1], "images to keep"),
        (lambda x, y, ids: (x, own(x, y, ids)[1]), "images to keep"),
        (lambda x, y, ids: (x[y >= ids[0]], y[y >= ids[0]]), "images to keep"),
        (lambda x, y, ids: (own(x, y, ids)[0], np.searchsorted(ids, y)), "one label for each"),
        (lambda x, y, ids: (own(x, y, ids)[0], len(ids) - 1 - own(x, y, ids)[1]), "must become"),
        (lambda x, y, ids: own(x, y, ids)[0], "two things"),
    ],
    "group_probabilities": [
        (lambda p, g: group_sums(p, g, np.mean), "mean over"),
        (lambda p, g: group_sums(p, g, np.max), "most probable class"),
        (lambda p, g: np.eye(3)[group_sums(p, g).argmax(axis=1)], "choose later"),
        (lambda p, g: group_sums(p, g).T, "images come first"),
        (lambda p, g: group_sums(p, g)[:, ::-1], "has 0.35"),
        (lambda p, g: p.reshape(len(p), len(g), -1).sum(axis=2), "equal parts"),
        (lambda p, g: p, "of shape"),
    ],
    "blame": [
        (lambda f, h, r: blame(1 - f, h, r), "sent to the \\*right\\*"),
        (lambda f, h, r: (blame(f, h, r)[0], np.mean(~r)), "lost already"),
        (lambda f, h, r: (blame(f, h, r)[0], np.mean(~r[f.argmax(1) == h])), "their sum"),
        (lambda f, h, r: (blame(f, h, r)[0], blame(f, h, ~r)[1]), "expert is right"),
        (lambda f, h, r: tuple(len(h) * share for share in blame(f, h, r)), "counts"),
        (lambda f, h, r: blame(f, h, r)[::-1], "first|3 of 10"),
        (lambda f, h, r: sum(blame(f, h, r)), "two things"),
    ],
    "hierarchy": [
        (lambda f, w, b, e: hierarchy(f[:, ::-1], w, b, e), "halves are exchanged"),
        (lambda f, w, b, e: hierarchy(f, [v[..., ::-1] for v in w], b, e), "Base and expert"),
        (lambda f, w, b, e: hierarchy(f * 0 + 1, w, b, e), "not used"),
        (lambda f, w, b, e: hierarchy(f * 0 + 0.5, w, b, e), "plain mean of the two halves"),
        (lambda f, w, b, e: hierarchy(np.eye(2)[f.argmax(1)], w, b, e), "more probable half"),
        (lambda f, w, b, e: f[:, :1] * e[0] + f[:, 1:] * e[1], "second level is missing"),
        (lambda f, w, b, e: hierarchy(f, [0.5 + 0 * v for v in w], b, e), "use the weights"),
        (lambda f, w, b, e: hierarchy(f, w, b, e) / 2, "0.5675"),
        (lambda f, w, b, e: hierarchy(f, w, b, e).argmax(axis=1), "of shape"),
    ],
    "moved_weights": [
        (moved_without_copies, "copies"),
        (lambda m, t: moved(m, t, of="trainable_weights"), "statistics"),
        (lambda m, t: moved(m, t, differs=False), "stayed the same"),
        (lambda m, t: all_of(m, t, of="trainable_weights"), "may train"),
        (all_of, "all weights"),
        (lambda m, t: moved(m, t, name="name"), "name alone"),
        (lambda m, t: [w.path for w in m.weights], "once"),
        (lambda m, t: len(moved(m, t)), "a list of paths"),
    ],
    "errors_across": [
        (out_of, "one way"),
        (lambda c, g: out_of(c.T, g), "one way"),
        (lambda c, g: wrong(c) - across(c, g), "not across"),
        (lambda c, g: wrong(c), "all errors"),
        (lambda c, g: across(c, g) / c.sum(), "share"),
        (lambda c, g: c[list(g)].sum(), "diagonal"),
        (lambda c, g: c[list(g)].sum() + c[:, list(g)].sum(), "diagonal"),
        (lambda c, g: across(c, g) / 2, "52"),
    ],
}


class TestLab07(MutationTests):
    lab, right, wrong, marks = lab07, RIGHT, WRONG, 14
