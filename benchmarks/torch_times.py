"""Hugging Face's Mixtral block in PyTorch; run as a process of its own, prints rows as JSON."""

import json
import sys

import torch
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

from benchmarks.timing import ratio, times_in_turns


class SwiGLU(torch.nn.Module):
    """The limit: one expert on all rows."""

    def __init__(self, features, hidden):
        super().__init__()
        self.gate = torch.nn.Linear(features, hidden, bias=False)
        self.up = torch.nn.Linear(features, hidden, bias=False)
        self.down = torch.nn.Linear(hidden, features, bias=False)

    def forward(self, x):
        return self.down(torch.nn.functional.silu(self.gate(x)) * self.up(x))


def block(num_experts, features, hidden, k, way):
    """The block with small random weights; `way` is how it runs its experts."""
    config = MixtralConfig(
        hidden_size=features,
        intermediate_size=hidden,
        num_local_experts=num_experts,
        num_experts_per_tok=k,
    )
    config._experts_implementation = way
    module = MixtralSparseMoeBlock(config)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return module


def training_step(module, inputs):
    inputs = inputs.clone().requires_grad_()

    def step():
        module.zero_grad()
        inputs.grad = None
        answer = module(inputs)
        (answer[0] if isinstance(answer, tuple) else answer).square().mean().backward()

    return step


def main(num_tokens, num_experts, features, hidden, k, rounds, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    tokens = torch.randn(1, num_tokens, features)
    steps = {"limit": training_step(SwiGLU(features, hidden), tokens[0].repeat(k, 1))}
    for way in ("eager", "grouped_mm"):
        steps[way] = training_step(block(num_experts, features, hidden, k, way), tokens)
    times = times_in_turns(steps, rounds)
    limit = times.pop("limit")
    rows = [("SwiGLU", f"Hugging Face, {way}", *ratio(t, limit)) for way, t in times.items()]
    print(json.dumps(rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
