"""Options of a command from what it calls: each name, type, default and explanation stands once."""

import functools
import inspect
import re
from typing import Annotated

import typer


def with_options(**groups):
    """Give a command one option for each argument of the classes or functions that it calls.

    Args:
        **groups: for a parameter of the command, a pair of a class or function and the names of
            its arguments; `None`: all of them. The command gets a dictionary of their values there.

    Returns:
        A decorator for a command of Typer.
    """
    parameters = {group: options_of(*source) for group, source in groups.items()}

    def decorate(command):
        @functools.wraps(command)
        def gather(**given):
            for group, options in parameters.items():
                given[group] = {option.name: given.pop(option.name) for option in options}
            return command(**given)

        own = inspect.signature(command).parameters.values()
        shown = [option for options in parameters.values() for option in options]
        shown += [parameter for parameter in own if parameter.name not in groups]
        # By keyword, as Typer calls it: then a default may stand before an argument without one.
        by_keyword = [option.replace(kind=option.KEYWORD_ONLY) for option in shown]
        gather.__signature__ = inspect.Signature(by_keyword)
        gather.__annotations__ = {option.name: option.annotation for option in shown}
        return gather

    return decorate


def options_of(source, names=None):
    """Parameters that Typer reads, for arguments of a class or function.

    An argument without a default is one of the command; any other is an option. The explanation is
    what the docstring says of it, under "Args:" or "Attributes:".
    """
    parameters = inspect.signature(source).parameters
    explained = explanations(source)
    return [_option(parameters[name], explained[name]) for name in names or parameters]


def explanations(source):
    """What a docstring says of each argument, as a sentence."""
    entries = re.findall(
        r"^ {4}(\w+): (.*(?:\n {8}.*)*)", inspect.getdoc(source) or "", flags=re.MULTILINE
    )
    texts = {name: " ".join(text.split()) for name, text in entries}
    return {name: text[:1].upper() + text[1:] for name, text in texts.items()}


def _option(parameter, text):
    name, default = parameter.name, parameter.default
    kind = type(default) if parameter.annotation is parameter.empty else parameter.annotation
    if default is parameter.empty:
        info = typer.Argument(help=text)
    else:
        # Named by hand: Typer would add a --no-... to what is a yes or no.
        info = typer.Option(f"--{name.replace('_', '-')}", help=text)
    return parameter.replace(annotation=Annotated[kind, info])
