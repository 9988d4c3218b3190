"""Description of each dataset: one `DatasetSpec` holds all that is known of it."""

from dataclasses import dataclass, field

ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")

_MIRROR = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


@dataclass(frozen=True)
class DatasetSpec:
    """Description of a dataset: all that loading, verifying, training and the stand-in need.

    To add a dataset, add its spec to `SPECS`. What has a default may be left out: without an origin
    the dataset is read from a local file, and without a painter it has no stand-in.

    Args:
        name: String, how the code calls it: "cifar10". Its file is `<name>.npz`; a dataset with an
            origin is downloaded by `keras.datasets.<name>`.
        title: String, how people call it: "CIFAR-10".
        image_shape: Tuple of integers, shape of one image in a file.
        class_names: Tuple of strings, a name for each class id.
        train_count: Integer, number of training images.
        test_count: Integer, number of test images.
        balanced: Boolean, whether each class has equally many images in each part.
        mirror_allowed: Boolean, whether a mirrored image is still one of its class: true of a
            pullover, not of a digit.
        groups: Dictionary from a group's name to its tuple of class ids. The first group has
            index 0.
        digests: Dictionary from "train" and "test" to the content digest of the part (see
            `content.py`). Without it the content is not compared.
        origin: String, address from which Keras downloads it.
        megabytes: Integer, about how much that is.
        cache_files: Dictionary of the files that Keras keeps of it, from a path below Keras's own
            folder to "algorithm:checksum".
        painter: String, "module:function" that paints the images of the stand-in. The function
            takes `(rng, label, batch, count, textures)` and returns uint8 images
            `(count, *image_shape)`.
    """

    name: str
    title: str
    image_shape: tuple
    class_names: tuple
    train_count: int
    test_count: int
    balanced: bool
    mirror_allowed: bool
    groups: dict = field(default_factory=dict)
    digests: dict = field(default_factory=dict)
    origin: str | None = None
    megabytes: int = 0
    cache_files: dict = field(default_factory=dict)
    painter: str | None = None

    @property
    def num_classes(self):
        """Integer, number of classes C."""
        return len(self.class_names)

    @property
    def file_name(self):
        """String, name of a local file of this dataset."""
        return f"{self.name}.npz"

    def count(self, part):
        """Number of images in "train" or "test"."""
        return {"train": self.train_count, "test": self.test_count}[part]


CIFAR10 = DatasetSpec(
    name="cifar10",
    title="CIFAR-10",
    image_shape=(32, 32, 3),
    class_names=(
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
    train_count=50_000,
    test_count=10_000,
    balanced=True,
    mirror_allowed=True,
    groups={"natural": (2, 3, 4, 5, 6, 7), "artificial": (0, 1, 8, 9)},
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
    painter="moe_keras.standin.scenes:paint_scenes",
)

MNIST = DatasetSpec(
    name="mnist",
    title="MNIST",
    image_shape=(28, 28),
    class_names=tuple("0123456789"),
    train_count=60_000,
    test_count=10_000,
    balanced=False,
    mirror_allowed=False,
    groups={"0-4": (0, 1, 2, 3, 4), "5-9": (5, 6, 7, 8, 9)},
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
    painter="moe_keras.standin.digits:paint_digits",
)

FASHION_MNIST = DatasetSpec(
    name="fashion_mnist",
    title="Fashion-MNIST",
    image_shape=(28, 28),
    class_names=(
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    train_count=60_000,
    test_count=10_000,
    balanced=True,
    mirror_allowed=True,
    groups={"clothes": (0, 1, 2, 3, 4, 6), "shoes and bags": (5, 7, 8, 9)},
    digests={
        "train": "9f7da7ceb688fec5ac60646c65c6921c0c7911f41856541d1951ba8bcd08187d",
        "test": "cead68de77266d4360ca898b5e1cafd68df0d2723f9e735fc69bc545978de19d",
    },
    origin=_MIRROR + "train-images-idx3-ubyte.gz",
    megabytes=31,
    # Keras has no checksums for the four files that it downloads; these are the MD5 sums that their
    # makers publish beside them (github.com/zalandoresearch/fashion-mnist).
    cache_files={
        f"datasets/fashion-mnist/{file}-ubyte.gz": f"md5:{checksum}"
        for file, checksum in (
            ("train-images-idx3", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1", "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3", "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1", "bb300cfdad3c16e7a12a480ee83cd310"),
        )
    },
    painter="moe_keras.standin.garments:paint_garments",
)

SPECS = {spec.name: spec for spec in (CIFAR10, MNIST, FASHION_MNIST)}


def get_spec(name):
    """The `DatasetSpec` called `name`; ValueError if there is none."""
    if not isinstance(name, str) or name not in SPECS:
        raise ValueError(f"`name` must be one of {', '.join(SPECS)}. Received: name={name!r}")
    return SPECS[name]
