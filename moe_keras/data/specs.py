"""What each dataset must look like, down to the content of every image."""

from dataclasses import dataclass

ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")

_MIRROR = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


@dataclass(frozen=True)
class DatasetSpec:
    """The facts about a dataset that loading checks.

    Attributes:
        name: how the code calls it: "cifar10".
        title: how people call it: "CIFAR-10".
        image_shape: shape of one image in a file.
        train_count, test_count: images in each part.
        balanced: whether each class has equally many images in each part.
        digests: content digest of each part (see `content.py`), or none where none is known.
        origin: where Keras downloads it.
        megabytes: about how much that is.
        cache_files: what Keras keeps of it below its own folder: path -> "algorithm:checksum".
    """

    name: str
    title: str
    image_shape: tuple
    train_count: int
    test_count: int
    balanced: bool
    digests: dict
    origin: str
    megabytes: int
    cache_files: dict

    @property
    def file_name(self):
        return f"{self.name}.npz"

    def count(self, part):
        """Images in "train" or "test"."""
        return {"train": self.train_count, "test": self.test_count}[part]


SPECS = {
    "cifar10": DatasetSpec(
        name="cifar10",
        title="CIFAR-10",
        image_shape=(32, 32, 3),
        train_count=50_000,
        test_count=10_000,
        balanced=True,
        digests={
            "train": "d249e8e6cf1e660655d3caa8ecaa685ead3af880162bc15429b0a9fdbb35f8e8",
            "test": "92a5e4aed1c084435127cd6223ff3e10178b1ef13c7334d7afe03747d29342a7",
        },
        origin="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        megabytes=170,
        # The checksum is the one in Keras's own loader.
        cache_files={
            "datasets/cifar-10-batches-py-target_archive": (
                "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
            ),
        },
    ),
    "mnist": DatasetSpec(
        name="mnist",
        title="MNIST",
        image_shape=(28, 28),
        train_count=60_000,
        test_count=10_000,
        balanced=False,
        digests={
            "train": "efb0d4dfb3297d29f03ba77d302dff657724c12a047eff65d851f7e0b82be3d2",
            "test": "b9d8afc58662c554f12eb062f1e3c67665718b60a68f611724060ad7d960b28f",
        },
        origin=_MIRROR + "mnist.npz",
        megabytes=11,
        # The checksum is the one in Keras's own loader.
        cache_files={
            "datasets/mnist.npz": (
                "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
            ),
        },
    ),
    "fashion_mnist": DatasetSpec(
        name="fashion_mnist",
        title="Fashion-MNIST",
        image_shape=(28, 28),
        train_count=60_000,
        test_count=10_000,
        balanced=True,
        # No content digest is recorded, so of a local fashion_mnist.npz the structure alone is
        # checked. Keras has no checksums for the four files it downloads; these are the MD5
        # sums that their makers publish beside them (github.com/zalandoresearch/fashion-mnist).
        digests={},
        origin=_MIRROR + "train-images-idx3-ubyte.gz",
        megabytes=31,
        cache_files={
            f"datasets/fashion-mnist/{file}-ubyte.gz": f"md5:{checksum}"
            for file, checksum in (
                ("train-images-idx3", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                ("train-labels-idx1", "25c81989df183df01b3e8a0aad5dffbe"),
                ("t10k-images-idx3", "bef4ecab320f06d8554ea6380940ec79"),
                ("t10k-labels-idx1", "bb300cfdad3c16e7a12a480ee83cd310"),
            )
        },
    ),
}


def get_spec(name):
    """The facts about the dataset called `name`; ValueError if there is none."""
    if not isinstance(name, str) or name not in SPECS:
        raise ValueError(f"`name` must be one of {', '.join(SPECS)}. Received: name={name!r}")
    return SPECS[name]
