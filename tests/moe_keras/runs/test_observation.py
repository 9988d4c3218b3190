import numpy as np
import pytest

from moe_keras.runs import RunRecorder, observation
from moe_keras.runs.figures import epoch_figures
from moe_keras.runs.observation import COLUMNS, Observation

SEEN = Observation(
    samples=np.array([4, 7]),
    labels=np.array([0, 1]),
    predictions=np.array([0, 0]),
    weights=np.array([[1.0, 0.0], [0.5, 0.5]]),
    assigned=np.array([[1, 0], [0, 1]]),
)


def test_the_numbers_by_hand():
    assert SEEN.accuracy() == 0.5
    assert SEEN.routed() == 0.5  # sample 7 goes to expert 0, its label belongs to expert 1
    assert SEEN.usage().tolist() == [1.0, 0.0]
    assert SEEN.entropy() == pytest.approx(np.log(2) / 2)


def test_what_no_expert_answers_is_nobodys():
    """Of five samples the base of a cascade answers two, and their labels are expert 0's."""
    weights = np.array([[0, 0], [0, 1], [0, 0], [0, 1], [0.75, 0.25]])
    labels = np.array([0, 1, 0, 0, 0])
    seen = Observation(np.arange(5), labels, labels, weights, assigned=np.eye(2, dtype=int))
    assert seen.chosen().tolist() == [-1, 1, -1, 1, 0]
    np.testing.assert_allclose(seen.usage(), [1 / 3, 2 / 3], rtol=1e-6)
    assert seen.routed() == 2 / 5  # samples 1 and 4
    figures = epoch_figures(seen, ["a", "b"], "epoch 1", "draws")
    # Expert 0 has one of four samples of label a, expert 1 one of them and the one of label b.
    image = figures["heatmap"].figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(np.asarray(image), [[1 / 4, 0], [1 / 4, 1]])
    assert [bar.get_height() for bar in figures["usage"].figure.axes[0].patches] == [1, 2]


def test_a_row_for_each_sample_and_expert():
    assert SEEN.rows().tolist() == [
        [4, 0, 0, 0, 1, 1],
        [4, 0, 0, 1, 0, 0],
        [7, 1, 0, 0, 0.5, 0],
        [7, 1, 0, 1, 0.5, 1],
    ]


def test_a_table_reads_as_it_was_written(tmp_path):
    path = tmp_path / "activations_validation_001.csv"
    SEEN.write(path)
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    read = Observation.read(path, SEEN.assigned)
    for mine, theirs in zip(SEEN, read, strict=True):
        np.testing.assert_array_equal(mine, theirs)


HEAD = "sample,label,prediction,expert,weight,assigned\n"


@pytest.mark.parametrize(
    "text",
    [
        *("", "sample,label\n1,2\n", "a\nx,y\n"),
        *(f"{HEAD}{row}\n" for row in ("1e300,0,0,0,1,0", "0,1e19,0,0,1,0", "0,0,4e9,0,1,0")),
        # Two rows of one sample that disagree about it.
        *(f"{HEAD}4,1,2,0,1,0\n{row},1,0,0\n" for row in ("5,1,2", "4,0,2", "4,1,1")),
    ],
)
def test_a_damaged_table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="table of activations"):
        Observation.read(path)


def test_a_long_run_with_the_default_budget_stays_below_50_mb(tmp_path):
    rows, epochs = 5000, 200
    assert RunRecorder.__init__.__kwdefaults__["rows"] == rows
    samples = np.arange(55_000 - rows // 5, 55_000)  # the longest numbers there are
    labels = np.full(len(samples), 9)
    weights = np.full((len(samples), 5), 1.23456789e-10)
    path = tmp_path / "table.csv"
    Observation(samples, labels, labels, weights, np.ones((10, 5))).write(path)
    assert len(path.read_text().splitlines()) == 1 + rows
    assert path.stat().st_size * epochs < 50e6


def test_parquet_without_what_it_needs_fails_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(observation, "find_spec", lambda name: None if name == "pyarrow" else name)
    with pytest.raises(ModuleNotFoundError, match=r"no pyarrow in this Python\. `python"):
        RunRecorder(tmp_path, np.zeros((3, 2)), np.arange(3), parquet=True)


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    SEEN.write(tmp_path / "table.parquet")
    np.testing.assert_array_equal(
        Observation.read(tmp_path / "table.parquet").weights, SEEN.weights
    )
