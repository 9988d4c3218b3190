"""Settings of a run."""

from dataclasses import dataclass
from pathlib import Path

from moe_keras.arguments import (
    non_negative_float,
    non_negative_integer,
    positive_integer,
    positive_number,
)

KINDS = ("dense", "guided", "sparse", "soft")
EXPERTS = ("mlp", "cnn")


@dataclass(frozen=True)
class Settings:
    """Settings of a run; the defaults reach the figures that the README gives for MNIST.

    Attributes:
        kind: String, "dense" (every expert answers, the gate learns by itself), "guided" (the
            labels teach the gate which expert is whose), "sparse" (two experts answer each image)
            or "soft" (slots mix the image's parts).
        dataset: String, name of the dataset, as for `data.load`.
        experts: Integer, number of experts E.
        expert: String, "mlp" or "cnn" (a convolution of its own, after convolutions that all
            share).
        backbone: String, network in place of the shared convolutions, before experts that are small
            MLPs: "vgg" (the `pretrained_vgg` "base" of the dataset) or the name of a model in
            keras.applications. `None`: the shared convolutions.
        backbone_weights: String, "pretrained" (then frozen; of keras.applications: on ImageNet) or
            "random" (then trained with the rest).
        assign: String, labels of each expert, as "0,1|2,3"; `None`: an even split.
        epochs: Integer, largest number of epochs.
        batch_size: Integer, images in a batch.
        learning_rate: Float, learning rate at the start; it falls to 0 along a cosine.
        patience: Integer, epochs without a better validation accuracy before training stops; 0: it
            never does.
        clip: Float, largest norm of all gradients together; 0: no limit.
        guidance_weight: Float, weight of the guidance loss, for "guided".
        guidance_anneal: Integer, epochs over which that weight falls to 0; 0: it stays.
        seed: Integer, seed of the weights and the batches; the split is always the same.
        subset: Float above 0 and at most 1, fraction of the data; `None`: all.

    Raises:
        ValueError: if a value is out of its range.
    """

    kind: str
    dataset: str = "mnist"
    experts: int = 5
    expert: str = "cnn"
    backbone: str | None = None
    backbone_weights: str = "pretrained"
    assign: str | None = None
    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 0.003
    patience: int = 5
    clip: float = 1.0
    guidance_weight: float = 0.5
    guidance_anneal: int = 0
    seed: int = 0
    subset: float | None = None

    def __post_init__(self):
        _one_of("kind", self.kind, KINDS)
        _one_of("expert", self.expert, EXPERTS)
        _one_of("backbone_weights", self.backbone_weights, ("pretrained", "random"))
        for name in ("dataset", "assign", "backbone"):
            value = getattr(self, name)
            if not isinstance(value, str) and (name == "dataset" or value is not None):
                raise ValueError(f"Expected {name} to be a string. Received: {name}={value!r}")
        for name in ("experts", "epochs", "batch_size"):
            positive_integer(name, getattr(self, name))
        positive_number("learning_rate", self.learning_rate)
        for name in ("clip", "guidance_weight"):
            non_negative_float(name, getattr(self, name))
        for name in ("patience", "guidance_anneal", "seed"):
            non_negative_integer(name, getattr(self, name))
        if self.subset is not None and not 0 < self.subset <= 1:
            raise ValueError(
                f"Expected a subset above 0 and at most 1. Received: subset={self.subset}"
            )
        if self.assign is not None and self.kind != "guided":
            raise ValueError(
                "Expected labels to be assigned to experts for kind='guided' alone. "
                f"Received: assign={self.assign!r} with kind={self.kind!r}"
            )


def _one_of(name, value, known):
    if value not in known:
        raise ValueError(f"Expected {name} to be one of {', '.join(known)}. Received: {value!r}")


def default_folder(settings, now):
    """Default path of a run: runs/<kind>-<dataset>-<time>."""
    return Path("runs") / f"{settings.kind}-{settings.dataset}-{now:%Y%m%d-%H%M%S}"
