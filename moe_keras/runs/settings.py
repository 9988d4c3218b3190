"""What can be chosen for a run."""

from dataclasses import dataclass
from pathlib import Path

from moe_keras.arguments import number_from_0, positive_integer, positive_number

KINDS = ("basic", "guided", "sparse", "soft")
EXPERTS = ("mlp", "cnn")


@dataclass(frozen=True)
class Settings:
    """The settings of a run; the defaults reach the figures that the README gives for MNIST.

    Attributes:
        kind: "basic" (every expert answers, the gate learns by itself), "guided" (the labels teach
            the gate which expert is whose), "sparse" (two experts answer each image) or "soft"
            (slots mix the image's parts).
        dataset: "mnist", "fashion_mnist" or "cifar10".
        experts: how many.
        expert: "mlp" or "cnn" (a convolution of its own, after convolutions that all share).
        backbone: what takes the place of the shared convolutions, before experts that are small
            MLPs: "vgg" (the `pretrained_vgg` "base" of the dataset) or the name of a model in
            keras.applications.
        backbone_weights: "pretrained" (then frozen; of keras.applications: on ImageNet) or "random"
            (then trained with the rest).
        assign: labels for each expert, as "0,1|2,3"; left out: an even split.
        epochs: at most.
        batch_size: images in a batch.
        learning_rate: at the start; it falls to 0 along a cosine.
        patience: stop after so many epochs without a better validation accuracy; 0: never.
        clip: largest norm of all gradients together; 0: no limit.
        guidance: weight of the guidance loss, for "guided".
        guidance_anneal: epochs over which that weight falls to 0; 0: it stays.
        seed: of the weights and the batches; the split is always the same.
        subset: fraction of the data, above 0 and at most 1; left out: all.

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
    guidance: float = 0.5
    guidance_anneal: int = 0
    seed: int = 0
    subset: float | None = None

    def __post_init__(self):
        _one_of("kind", self.kind, KINDS)
        _one_of("expert", self.expert, EXPERTS)
        _one_of("backbone_weights", self.backbone_weights, ("pretrained", "random"))
        for name in ("experts", "epochs", "batch_size"):
            positive_integer(name, getattr(self, name))
        positive_number("learning_rate", self.learning_rate)
        for name in ("clip", "guidance"):
            number_from_0(name, getattr(self, name))
        for name in ("patience", "guidance_anneal", "seed"):
            _whole_from_0(name, getattr(self, name))
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


def _whole_from_0(name, value):
    if not isinstance(value, int) or value < 0:
        raise ValueError(
            f"Expected {name} to be a whole number of 0 or more. Received: {name}={value!r}"
        )


def default_folder(settings, now):
    """Where a run goes when nobody says: runs/<kind>-<dataset>-<time>."""
    return Path("runs") / f"{settings.kind}-{settings.dataset}-{now:%Y%m%d-%H%M%S}"
