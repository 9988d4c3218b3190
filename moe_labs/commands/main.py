"""The command ``moe-labs``: every subcommand calls a function and shows what it returns."""

from importlib.metadata import version

from moe_common import command
from moe_labs.commands import labs
from moe_labs.commands.course import course_app

NAME = "moe-labs"

# What a command needs is imported when it runs: Jupyter takes seconds, --help must not.
app = command.make_app(
    NAME, "The labs: list, run, check and generate them; make a course.", version("moe-keras")
)
app.command("list")(labs.list_labs)
app.command("run")(labs.run_labs)
app.command("check")(labs.check_labs)
app.command("generate")(labs.generate_labs)
app.add_typer(course_app, name="course")


def main(arguments=None):
    """Run the command with a list of arguments. Default: those of this process."""
    command.run(app, NAME, arguments)
