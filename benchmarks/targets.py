"""What the benchmark must reach, judged from its rows."""


def judge(rows):
    """Rows (target, measured, bound, met); what was not measured is left out."""
    cost = {
        (r["T"], r["E"], r["experts"], r["way"]): r["value"] for r in rows if r["what"] == "cost"
    }
    images = {r["E"]: r["value"] for r in rows if r["what"] == "images"}
    memory = {(r["way"], r["E"]): r["value"] for r in rows if r["what"] == "memory"}
    judged = []

    def below(name, value, bound):
        judged.append((name, value, bound, value <= bound))

    # A limit has no gate. So the dispatch is judged alone, and the whole layer beside it.
    for way in ("grouped, routing given", "grouped"):

        def of(num_tokens, num_experts, way=way):
            return cost.get((num_tokens, num_experts, "ReLU", way))

        if of(4096, 64):
            below(f"{way}, T=4096, E=64", of(4096, 64), 1.35)
        if of(4096, 64) and of(4096, 4):
            below(f"{way}, T=4096, E=64 to E=4", of(4096, 64) / of(4096, 4), 1.3)
        if of(1024, 64):
            below(f"{way}, T=1024, E=64", of(1024, 64), 2.2)
    for (num_tokens, num_experts, kind, way), value in cost.items():
        peer = way in ("keras-hub", "one-hot einsum") or way.startswith("Hugging Face")
        ours = cost.get((num_tokens, num_experts, kind, "grouped"))
        if peer and num_experts >= 8 and ours:
            twentieth = way == "keras-hub" and num_experts == 64
            bound = 1 / 20 if twentieth else 1.0
            below(f"grouped to {way}, T={num_tokens}, E={num_experts}", ours / value, bound)
    if len(images) > 1:
        below("images, dearest E to cheapest", max(images.values()) / min(images.values()), 1.3)
    sizes = sorted({num_experts for _, num_experts in memory})
    if len(sizes) > 1:
        few, many = sizes[0], sizes[-1]
        growth = memory["grouped", many] / memory["grouped", few]
        # With T * E it would grow as E does; a quarter of that leaves room for the trace.
        below(f"memory, E={many} to E={few}", growth, max(0.25 * many / few, 1.0))
    return judged
