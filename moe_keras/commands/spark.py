"""The commands ``moe-keras spark ...``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from moe_common.stopping import keeping
from moe_common.terminal import Words

spark_app = typer.Typer(
    help="Tree experts on Apache Spark with a gate in Keras, here or on a cluster.",
    no_args_is_help=True,
)
Master = Annotated[
    str | None,
    typer.Option(help='Such as "spark://host:7077". Default: $SPARK_MASTER, else this machine.'),
]
Memory = Annotated[str, typer.Option(help="For Spark here, and for each worker's part.")]


@spark_app.command("fit")
def fit(
    output: Annotated[
        Path, typer.Option(help="Folder for data and models; on a cluster a shared one.")
    ] = Path("spark-mixture"),
    dataset: Annotated[str, typer.Option(help="mnist, fashion_mnist or cifar10.")] = "mnist",
    subset: Annotated[
        float | None, typer.Option(help="Fraction of the data, above 0 and at most 1.")
    ] = None,
    clusters: Annotated[int, typer.Option(help="How many clusters and experts.")] = 6,
    expert: Annotated[str, typer.Option(help="tree or forest.")] = "tree",
    depth: Annotated[int, typer.Option(help="Largest depth of a tree, at most 30.")] = 10,
    trees: Annotated[int, typer.Option(help="Number of trees of a forest.")] = 60,
    epochs: Annotated[int, typer.Option(help="Of the gate.")] = 15,
    entropy_weight: Annotated[
        float, typer.Option(help="Above 0: the gate decides; below 0: it uses all experts.")
    ] = 0.0,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="The gate weighs each expert for each class.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of clusters, trees and gate.")] = 0,
    master: Master = None,
    memory: Memory = "2g",
):
    """Find clusters, fit an expert to each, train the gate, and save all of it."""
    from moe_keras import data
    from moe_keras.spark import TreeMixture, read_parquet, session
    from moe_keras.spark.parts import write_parts

    mixture = TreeMixture(clusters, expert, depth, trees, seed=seed, workspace=output)
    images = data.load(dataset, subset=subset)
    typer.echo(images)
    # From here on an older model in the folder is not that of the rows.
    (output / "model" / "mixture.json").unlink(missing_ok=True)
    paths = write_parts(images, output, seed)
    columns = (Words("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    unfinished = f"The mixture was not saved; fit it again. Images are kept in {output}."
    with (
        keeping(lambda: unfinished),
        Progress(*columns, TimeElapsedColumn(), console=Console()) as bars,
    ):
        tasks = {"session": bars.add_task("Spark starts", total=1)}
        spark = session(master, memory)

        def show(what, done, of):
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done)

        show("session", 1, 1)
        mixture.fit_experts(read_parquet(spark, paths["trees"]), progress=show)
        mixture.fit_gate(
            read_parquet(spark, paths["gate"]),
            entropy_weight,
            epochs,
            validation=read_parquet(spark, paths["validation"]),
            per_class=per_class,
            progress=show,
        )
        mixture.save(output / "model")
    typer.echo(f"rows of the clusters: {' '.join(map(str, mixture.cluster_sizes))}")
    _tell(mixture.evaluate(read_parquet(spark, paths["validation"])), "validation images")
    typer.echo(f"Saved: {output / 'model'}")


@spark_app.command("evaluate")
def evaluate(
    output: Annotated[Path, typer.Argument(help="The folder that `spark fit` left.")],
    data: Annotated[
        Path | None, typer.Option(help="Parquet file or folder. Default: the test images.")
    ] = None,
    master: Master = None,
    memory: Memory = "2g",
):
    """Show how good a saved mixture is on images that it has not seen."""
    from moe_keras.spark import TreeMixture, read_parquet, session

    with Console(stderr=True).status("Spark starts, reads and answers"):
        spark = session(master, memory)
        mixture = TreeMixture.load(spark, output / "model", workspace=output)
        measured = mixture.evaluate(read_parquet(spark, data or output / "test.parquet"))
    _tell(measured, "images")


def _tell(measured, what):
    typer.echo(f"{what}: {measured['rows']:,}")
    for name in ("nearest cluster", "gate", "any expert"):
        share = measured[name]  # a mixture that was saved before it had a gate has none
        typer.echo(f"{name}: {'-' if share is None else f'{share:.2%}'}")
    for name in ("experts", "own cluster"):
        shares = ("-" if share is None else f"{share:.1%}" for share in measured[name])
        typer.echo(f"{name}: {' '.join(shares)}")
