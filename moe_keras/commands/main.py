"""The command ``moe-keras``: every subcommand calls a public function and shows what it returns."""

from moe_common import command
from moe_keras import __version__
from moe_keras.commands import pretrain, report, train
from moe_keras.commands.data import data_app
from moe_keras.commands.spark import spark_app

NAME = "moe-keras"

app = command.make_app(
    NAME, "Mixture of Experts in Keras: datasets, networks and training.", __version__
)
app.add_typer(data_app, name="data")
app.command()(train.train)
app.command()(train.resume)
app.command()(report.report)
app.command()(report.compare)
app.command()(pretrain.pretrain)
app.add_typer(spark_app, name="spark")


def main(arguments=None):
    """Run the command with a list of arguments. Default: those of this process."""
    command.run(app, NAME, arguments)
