"""The pipeline on an embedded Spark, against NumPy, scikit-learn and arithmetic by hand."""

import json
import warnings

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.ml.linalg import Vectors
from sklearn.cluster import KMeans
from spark_blobs import blobs

from moe_keras.spark import TreeMixture, read_parquet, write_parquet
from moe_keras.spark.answers import batches, written
from moe_keras.spark.clusters import Clusters
from moe_keras.spark.experts import Experts, learner


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blobs")
    for seed, part in enumerate(("trees", "gate", "test")):
        images, labels, _ = blobs(seed=seed)
        write_parquet(images, labels, folder / f"{part}.parquet")
    return folder


@pytest.fixture(scope="module")
def frames(spark, folder):
    return {
        part: read_parquet(spark, folder / f"{part}.parquet") for part in ("trees", "gate", "test")
    }


@pytest.fixture(scope="module")
def mixture(frames):
    mixture = TreeMixture(clusters=3, depth=3, seed=1).fit_experts(frames["trees"])
    mixture.fit_gate(frames["gate"], epochs=8, batch_size=16, validation=frames["gate"])
    return mixture


def rows_of(spark, features, labels):
    pairs = zip(features, labels, strict=True)
    rows = [(label, Vectors.dense([float(pixel) for pixel in row])) for row, label in pairs]
    return spark.createDataFrame(rows, ["label", "features"])


class TestParquet:
    def test_what_is_written_is_read_in_its_order(self, frames):
        images, labels, _ = blobs(seed=0)
        rows = frames["trees"].collect()
        assert [row.label for row in rows] == labels.tolist()
        read = np.array([row.features.toArray() for row in rows])
        np.testing.assert_array_equal(read, images.reshape(len(images), -1))

    def test_a_folder_of_files_and_many_row_groups(self, spark, tmp_path):
        images = np.arange(5000 * 4, dtype="uint32").astype("uint8").reshape(5000, 2, 2)
        for part, rows in enumerate((slice(3000), slice(3000, None))):
            labels = np.zeros(5000, "uint8")[rows]
            write_parquet(images[rows], labels, tmp_path / f"{part}.parquet")
        assert pq.ParquetFile(tmp_path / "0.parquet").metadata.num_row_groups == 3
        assert read_parquet(spark, tmp_path).count() == 5000

    def test_the_data_is_in_files_not_in_tasks(self, frames):
        plan = frames["trees"]._jdf.queryExecution().toString()
        assert "FileScan parquet" in plan
        assert "LocalTableScan" not in plan and "ExistingRDD" not in plan

    @pytest.mark.parametrize(
        ("images", "labels", "message"),
        [
            (np.zeros((2, 4)), [0, 1], "uint8 images"),
            (np.zeros((0, 4), "uint8"), [], "at least one"),
            (np.zeros(4, "uint8"), [0] * 4, "shape"),
            (np.zeros((2, 4), "uint8"), [0], "a label for each of 2 images"),
            (np.zeros((2, 4), "uint8"), [0.0, 1.0], "whole numbers from 0"),
            (np.zeros((2, 4), "uint8"), [0, -1], "whole numbers from 0"),
        ],
    )
    def test_arrays_that_will_not_do(self, tmp_path, images, labels, message):
        with pytest.raises(ValueError, match=message):
            write_parquet(images, labels, tmp_path / "file.parquet")
        assert list(tmp_path.iterdir()) == []

    def test_nothing_to_read(self, spark, tmp_path):
        with pytest.raises(FileNotFoundError, match="not there"):
            read_parquet(spark, tmp_path / "none.parquet")

    def test_other_parquet(self, spark, tmp_path):
        pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
        with pytest.raises(ValueError, match=r"with the columns \['x'\]"):
            read_parquet(spark, tmp_path / "x.parquet")

    def test_no_parquet(self, spark, tmp_path):
        (tmp_path / "x.parquet").write_bytes(b"this is no Parquet file at all")
        with pytest.raises(ValueError, match="damaged or no Parquet"):
            read_parquet(spark, tmp_path / "x.parquet")


class TestClusters:
    def test_sizes_and_means_of_groups_far_apart(self, mixture):
        images, labels, groups = blobs(seed=0)
        assert mixture.cluster_sizes.tolist() == [40, 40, 40]
        means = np.array([images.reshape(-1, 16)[groups == g].mean(axis=0) for g in range(3)])
        order = mixture.centroids[:, [0, 4, 8]].argmax(axis=1)
        # Pixel 14 never changes: it is scaled to 0, and yet has its value in the picture.
        np.testing.assert_allclose(mixture.centroids, means[order], rtol=1e-9)
        for e, group in enumerate(order):
            expected = np.bincount(labels[groups == group], minlength=4)
            assert mixture.label_counts[e].tolist() == expected.tolist()

    def test_scikit_learn_finds_no_better_centroids_near_by(self, frames):
        images = blobs(seed=0)[0].reshape(-1, 16).astype(float)
        deviation = images.std(axis=0, ddof=1)
        scaled = images / np.where(deviation > 0, deviation, 1)
        found = Clusters.fit(frames["trees"], 5, seed=0)
        start = np.stack(found.kmeans.clusterCenters())
        start[:, 14] = 7
        there = KMeans(5, init=start, n_init=1, max_iter=1).fit(scaled)
        assert there.inertia_ == pytest.approx(found.kmeans.summary.trainingCost, rel=1e-6)

    def test_fewer_distinct_rows_than_clusters(self, spark):
        frame = rows_of(spark, [[0, 0], [255, 255]] * 4, [0, 1] * 4)
        mixture = TreeMixture(clusters=5).fit_experts(frame)
        assert mixture.cluster_sizes.tolist() == [4, 4]
        assert mixture.evaluate(frame)["nearest cluster"] == 1

    def test_more_clusters_than_rows(self, spark):
        frame = rows_of(spark, [[0, 0], [255, 255]], [0, 1])
        with pytest.raises(ValueError, match=r"at least 3 rows.* Received: 2"):
            TreeMixture(clusters=3).fit_experts(frame)


class TestExperts:
    def test_one_tree_of_depth_1_worked_out_by_hand(self, spark):
        # Dark: labels 0, 0, 1. Bright: labels 1, 1, 1, 2.
        features, labels = [[0]] * 3 + [[255]] * 4, [0, 0, 1, 1, 1, 1, 2]
        frame = rows_of(spark, features, labels)
        mixture = TreeMixture(clusters=1, depth=1, classes=5).fit_experts(frame)
        rows = mixture.expert_probabilities(frame).collect()
        # Labels 3 and 4 were never seen, and have their place.
        np.testing.assert_allclose(rows[0].probabilities, [[2 / 3, 1 / 3, 0, 0, 0]], rtol=1e-6)
        np.testing.assert_allclose(rows[6].probabilities, [[0, 3 / 4, 1 / 4, 0, 0]], rtol=1e-6)
        np.testing.assert_allclose(mixture.centroids, [[255 * 4 / 7]])

    def test_a_cluster_with_one_label_and_an_empty_one(self, spark):
        frame = rows_of(spark, [[0], [1], [254], [255], [255]], [2, 2, 0, 1, 1])
        scaled = frame.withColumnRenamed("features", "scaled")
        assigned = scaled.selectExpr("*", "cast(label < 2 as int) as cluster")
        counts = np.array([[0, 0, 2], [1, 2, 0], [0, 0, 0]])
        experts = Experts.fit(assigned, learner("tree", 3, 1, 0), counts)
        said = experts.add(assigned).collect()
        assert said[0].probabilities[0] == [0, 0, 1]  # always sure
        np.testing.assert_allclose([row.probabilities[0] for row in said], [[0, 0, 1]] * 5)
        # No rows, no tree: the shares of the labels in all rows.
        np.testing.assert_allclose([row.probabilities[2] for row in said], [[0.2, 0.4, 0.4]] * 5)

    def test_a_forest_is_as_right_as_a_tree_here(self, frames):
        forest = TreeMixture(clusters=3, expert="forest", depth=3, trees=15, seed=1)
        forest.fit_experts(frames["trees"])
        assert forest.evaluate(frames["test"])["nearest cluster"] > 0.95
        rows = forest.expert_probabilities(frames["test"]).select("probabilities").collect()
        answers = np.array([row.probabilities for row in rows])
        assert answers.shape == (120, 3, 4)
        np.testing.assert_allclose(answers.sum(axis=2), 1, rtol=1e-5)

    def test_progress(self, frames):
        told = []
        TreeMixture(clusters=2, depth=1).fit_experts(
            frames["trees"], lambda *done: told.append(done)
        )
        assert told == [("clusters", 1, 1), ("experts", 1, 2), ("experts", 2, 2)]


class TestBatches:
    def test_every_row_once_in_its_order(self, mixture, frames):
        labels = blobs(seed=2)[1]
        with written(mixture.expert_probabilities(frames["test"]), None) as path:
            told = list(batches(path, 50))
            shuffled = list(batches(path, 50, seed=3))
        assert [len(batch[2]) for batch in told] == [50, 50, 20]
        assert told[0][0].shape == (50, 16) and told[0][1].shape == (50, 3, 4)
        assert np.concatenate([batch[2] for batch in told]).tolist() == labels.tolist()
        again = np.concatenate([batch[2] for batch in shuffled])
        assert again.tolist() != labels.tolist()
        assert sorted(again) == sorted(labels)

    def test_the_folder_goes_away(self, mixture, frames, tmp_path):
        with written(mixture.expert_probabilities(frames["test"]), tmp_path):
            assert list(tmp_path.iterdir())
        assert not list(tmp_path.iterdir())


class TestGate:
    def test_the_gate_knows_the_groups(self, mixture, frames):
        measured = mixture.evaluate(frames["test"])
        assert measured["gate"] > 0.95
        assert [set(epoch) for epoch in mixture.history] == [
            {"epoch", "loss", "validation_loss", "validation_accuracy"}
        ] * 8
        assert mixture.history[-1]["loss"] < mixture.history[0]["loss"]

    def test_the_best_epoch_is_kept(self, mixture, frames):
        from moe_keras.spark.gate import score

        with written(mixture.expert_probabilities(frames["gate"]), None) as path:
            loss = score(mixture.gate, path)["validation_loss"]
        assert loss == pytest.approx(min(each["validation_loss"] for each in mixture.history))

    def test_both_signs_of_the_entropy(self, frames):
        mixture = TreeMixture(clusters=3, depth=3, seed=1).fit_experts(frames["trees"])

        def entropy(weight):
            mixture.fit_gate(frames["gate"], weight, epochs=4, batch_size=16)
            weights = mixture.predict(frames["test"]).weights
            return -np.sum(weights * np.log(np.maximum(weights, 1e-30)), axis=1).mean()

        assert entropy(1.0) < entropy(-1.0) - 0.5

    def test_a_weight_for_each_class(self, frames, tmp_path):
        mixture = TreeMixture(clusters=3, depth=3, seed=1).fit_experts(frames["trees"])
        mixture.fit_gate(frames["gate"], epochs=6, batch_size=16, per_class=True)
        told = mixture.predict(frames["test"])
        assert told.weights.shape == (120, 4, 3)
        np.testing.assert_allclose(told.weights.sum(axis=2), 1, rtol=1e-5)
        rows = mixture.expert_probabilities(frames["test"]).select("probabilities").collect()
        answers = np.array([row.probabilities for row in rows])
        said = np.einsum("nce,nec->nc", told.weights, answers)
        said /= said.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(told.probabilities, said, atol=1e-5)
        assert (told.by_gate == told.labels).mean() > 0.9

    def test_the_same_seed_gives_the_same_gate(self, mixture, frames):
        first = mixture.history
        again = TreeMixture(clusters=3, depth=3, seed=1).fit_experts(frames["trees"])
        again.fit_gate(frames["gate"], epochs=8, batch_size=16, validation=frames["gate"])
        assert again.history[-1]["loss"] == pytest.approx(first[-1]["loss"], rel=1e-3)


class TestAnswers:
    def test_accuracies_worked_out_again(self, mixture, frames):
        labels = blobs(seed=2)[1]
        rows = mixture.expert_probabilities(frames["test"]).collect()
        answers = np.array([row.probabilities for row in rows])  # (N, E, C)
        clusters = np.array([row.cluster for row in rows])
        pixels = np.array([row.pixels for row in rows], "float32")
        weights = np.asarray(mixture.gate([pixels, answers.astype("float32")]))
        right = answers.argmax(axis=2) == labels[:, None]
        mixed = (weights[..., None] * answers).sum(axis=1)
        told, measured = mixture.predict(frames["test"]), mixture.evaluate(frames["test"])
        np.testing.assert_array_equal(told.labels, labels)
        np.testing.assert_array_equal(told.clusters, clusters)
        np.testing.assert_array_equal(told.by_expert, answers.argmax(axis=2))
        np.testing.assert_allclose(told.weights, weights, atol=1e-5)
        np.testing.assert_allclose(told.probabilities, mixed, atol=1e-5)
        assert measured["rows"] == 120
        assert measured["gate"] == pytest.approx((mixed.argmax(axis=1) == labels).mean())
        assert measured["nearest cluster"] == pytest.approx(right[np.arange(120), clusters].mean())
        assert measured["experts"] == pytest.approx(right.mean(axis=0).tolist())
        assert measured["any expert"] == pytest.approx(right.any(axis=1).mean())
        assert measured["own cluster"][0] == pytest.approx(right[clusters == 0, 0].mean())

    def test_rows_without_labels(self, mixture, frames):
        told = mixture.predict(frames["test"].drop("label"))
        assert (told.labels == -1).all()
        np.testing.assert_array_equal(told.by_gate, mixture.predict(frames["test"]).by_gate)

    def test_before_there_is_a_gate(self, frames):
        mixture = TreeMixture(clusters=2, depth=2).fit_experts(frames["trees"])
        told = mixture.predict(frames["test"])
        assert told.by_gate is None and told.weights is None
        np.testing.assert_array_equal(told.probabilities.argmax(axis=1), told.by_cluster)
        assert mixture.evaluate(frames["test"])["gate"] is None


class TestSaving:
    def test_the_whole_pipeline_comes_back(self, spark, mixture, frames, tmp_path):
        mixture.save(tmp_path / "saved")
        mixture.save(tmp_path / "saved")  # again, over the first
        again = TreeMixture.load(spark, tmp_path / "saved")
        first, second = mixture.predict(frames["test"]), again.predict(frames["test"])
        for name in vars(first):
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        np.testing.assert_array_equal(again.centroids, mixture.centroids)
        np.testing.assert_array_equal(again.cluster_sizes, mixture.cluster_sizes)
        assert again.history == mixture.history
        kinds = {path.suffix for path in (tmp_path / "saved").rglob("*") if path.is_file()}
        assert kinds <= {".json", ".keras", ".parquet", ".crc", ""}

    @pytest.mark.parametrize("name", ["a b", "runs[1]", "{x,y}*?", "ümlaut 100%25"])
    def test_a_folder_of_any_name(self, spark, mixture, frames, tmp_path, name):
        folder = tmp_path / name
        mixture.save(folder)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert (folder / "kmeans").is_dir()
        folder.rename(tmp_path / f"moved {name}")  # nothing of it lies elsewhere
        again = TreeMixture.load(spark, tmp_path / f"moved {name}")
        expected = mixture.evaluate(frames["test"])
        assert again.evaluate(frames["test"]) == expected
        write_parquet(*blobs(rows=20)[:2], tmp_path / name / "few.parquet")
        assert read_parquet(spark, tmp_path / name / "few.parquet").count() == 60

    def test_a_single_forest_without_a_gate(self, spark, frames, tmp_path):
        forest = TreeMixture(clusters=1, expert="forest", depth=2, trees=3)
        forest.fit_experts(frames["trees"]).save(tmp_path)
        again = TreeMixture.load(spark, tmp_path)
        assert again.gate is None
        np.testing.assert_array_equal(
            again.predict(frames["test"]).probabilities,
            forest.predict(frames["test"]).probabilities,
        )

    def test_nothing_to_load(self, spark, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"without mixture\.json, which is written last"
        ):
            TreeMixture.load(spark, tmp_path)

    @pytest.mark.parametrize("text", ["{", "[]", '{"clusters": 2}', '{"clusters": "many"}'])
    def test_damaged_description(self, spark, tmp_path, text):
        (tmp_path / "mixture.json").write_text(text)
        with pytest.raises(ValueError, match=r"mixture\.json as TreeMixture\.save writes it"):
            TreeMixture.load(spark, tmp_path)

    def test_the_gate_is_a_plain_keras_file(self, mixture, tmp_path):
        mixture.save(tmp_path)
        gate = keras.saving.load_model(tmp_path / "gate.keras")
        assert gate.output_shape == (None, 3)
        assert json.loads((tmp_path / "mixture.json").read_text())["clusters"] == 3


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"clusters": 0}, "clusters to be a whole number"),
            ({"clusters": 2.5}, "clusters to be a whole number"),
            ({"depth": 0}, "depth to be a whole number"),
            ({"depth": 31}, "depth of at most 30"),
            ({"trees": -1}, "trees to be a whole number"),
            ({"classes": 0}, "classes to be a whole number"),
            ({"expert": "shrub"}, '"tree" or "forest"'),
            ({"seed": -1}, "seed to be a whole number from 0"),
        ],
    )
    def test_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            TreeMixture(**arguments)

    @pytest.mark.parametrize(
        "call",
        [
            lambda mixture, frame: mixture.cluster_sizes,
            lambda mixture, frame: mixture.centroids,
            lambda mixture, frame: mixture.fit_gate(frame),
            lambda mixture, frame: mixture.predict(frame),
            lambda mixture, frame: mixture.save("nowhere"),
        ],
    )
    def test_before_there_are_experts(self, frames, call):
        with pytest.raises(RuntimeError, match="before fit_experts"):
            call(TreeMixture(), frames["trees"])

    def test_no_dataframe(self):
        with pytest.raises(ValueError, match="ndarray without features, label"):
            TreeMixture().fit_experts(np.zeros((3, 4)))

    def test_no_labels_to_learn(self, frames):
        with pytest.raises(ValueError, match="without label"):
            TreeMixture().fit_experts(frames["trees"].drop("label"))

    def test_no_rows(self, frames):
        with pytest.raises(ValueError, match="Received: 0"):
            TreeMixture(clusters=1).fit_experts(frames["trees"].where("label > 99"))

    @pytest.mark.parametrize(
        ("label", "message"),
        [("label - 1", "-1.0 to 2.0"), ("label + 0.5", "not all"), ("null", "some missing")],
    )
    def test_labels_that_are_none(self, frames, label, message):
        frame = frames["trees"].selectExpr(f"{label} as label", "features")
        with pytest.raises(ValueError, match=message):
            TreeMixture(clusters=1).fit_experts(frame)

    def test_a_label_beyond_the_classes(self, mixture, frames):
        with pytest.raises(ValueError, match=r"from 0 to 2\. Received: 0\.0 to 3\.0"):
            TreeMixture(clusters=1, classes=3).fit_experts(frames["trees"])
        beyond = frames["gate"].selectExpr("label + 1 as label", "features")
        with pytest.raises(ValueError, match=r"from 0 to 3\. Received: 1\.0 to 4\.0"):
            mixture.fit_gate(beyond)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"epochs": 0},
            {"batch_size": 0},
            {"learning_rate": 0},
            {"entropy_weight": float("nan")},
            {"dropout": 1},
        ],
    )
    def test_the_gates_arguments(self, mixture, frames, arguments):
        with pytest.raises(ValueError, match="Expected"):
            mixture.fit_gate(frames["gate"], **arguments)


def test_rows_of_another_dataset_are_said(spark, tmp_path):
    images, labels, _ = blobs(seed=0)
    for name in ("digits", "clothes"):
        write_parquet(images, labels, tmp_path / name / "rows.parquet", dataset=name)
    digits, clothes = (read_parquet(spark, tmp_path / name) for name in ("digits", "clothes"))
    mixture = TreeMixture(clusters=2, depth=2, workspace=tmp_path).fit_experts(digits)
    mixture.save(tmp_path / "model")
    mixture = TreeMixture.load(spark, tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        mixture.evaluate(digits)
    with pytest.warns(UserWarning, match="fitted to digits, and these rows are of clothes"):
        mixture.evaluate(clothes)
    write_parquet(images[:, :2], labels, tmp_path / "small.parquet")
    with pytest.raises(ValueError, match=r"rows of \d+ features"):
        mixture.evaluate(read_parquet(spark, tmp_path / "small.parquet"))


def test_a_file_that_is_damaged_in_the_middle_is_one_line(spark, mixture, tmp_path):
    images, labels, _ = blobs(seed=0)
    path = tmp_path / "rows.parquet"
    write_parquet(images, labels, path)
    content = bytearray(path.read_bytes())
    content[40 : len(content) // 2] = b"?" * (len(content) // 2 - 40)
    path.write_bytes(content)
    with pytest.raises((ValueError, RuntimeError), match=r"Received: \w+") as caught:
        mixture.evaluate(read_parquet(spark, path))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500
