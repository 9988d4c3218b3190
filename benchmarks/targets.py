"""What the benchmark must reach, judged from its rows."""


def judge(rows):
    """Rows (target, measured, bound, met); what was not measured is left out."""
    cost = {
        (r["T"], r["E"], r["experts"], r["way"]): r["value"] for r in rows if r["what"] == "cost"
    }
    images = {r["E"]: r["value"] for r in rows if r["what"] == "images"}
    memory = {r["E"]: r["value"] for r in rows if r["what"] == "memory"}
    judged = []

    def below(name, value, bound):
        judged.append((name, value, bound, value <= bound))

    def grouped(num_tokens, num_experts):
        return cost.get((num_tokens, num_experts, "ReLU", "grouped"))

    if grouped(4096, 64):
        below("grouped, T=4096, E=64", grouped(4096, 64), 1.35)
    if grouped(4096, 64) and grouped(4096, 4):
        below("grouped, T=4096, E=64 to E=4", grouped(4096, 64) / grouped(4096, 4), 1.3)
    if grouped(1024, 64):
        below("grouped, T=1024, E=64", grouped(1024, 64), 2.2)
    for (num_tokens, num_experts, kind, way), value in cost.items():
        peer = way in ("keras-hub", "one-hot einsum") or way.startswith("Hugging Face")
        ours = cost.get((num_tokens, num_experts, kind, "grouped"))
        if peer and num_experts >= 8 and ours:
            below(f"grouped to {way}, T={num_tokens}, E={num_experts}", ours / value, 1.0)
    if len(images) > 1:
        below("images, dearest E to cheapest", max(images.values()) / min(images.values()), 1.3)
    if len(memory) > 1:
        growth = memory[max(memory)] / memory[min(memory)]
        below(
            "memory, largest E to smallest, per growth of E",
            growth / (max(memory) / min(memory)),
            0.25,
        )
    return judged
