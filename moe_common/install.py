"""How to install the package: every such line that is printed or written comes from here.

The package is on no index. One setting decides what works instead: `Repository` under
`[project.urls]` in pyproject.toml. Without it there is only a clone.
"""

import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

NAME = "moe-keras"


def repository(root=Path(__file__).parents[1]):
    """The repository's address, or None while it is unset.

    Args:
        root: a checkout. One without pyproject.toml has the address that the installed package
            was built with.
    """
    file = Path(root) / "pyproject.toml"
    if file.exists():
        project = tomllib.loads(file.read_text("utf-8")).get("project", {})
        return project.get("urls", {}).get("Repository")
    try:
        urls = metadata(NAME).get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    pairs = (url.partition(",") for url in urls)
    return next((address.strip() for name, _, address in pairs if name == "Repository"), None)


def requirement(*extras, address=None):
    """What to ask pip for: the repository, or the clone that one is in.

    Args:
        *extras: extras of the package, such as "labs".
        address: the repository's. Default: what `repository` says.

    >>> requirement("labs", "spark", address="https://example.org/moe")
    'moe-keras[labs,spark] @ git+https://example.org/moe'
    """
    address = address or repository()
    chosen = f"[{','.join(extras)}]" if extras else ""
    return f"{NAME}{chosen} @ git+{address}" if address else f".{chosen}"


def install_line(*extras, address=None):
    """The command that installs the package, as `requirement` says."""
    wanted = requirement(*extras, address=address)
    return "python -m pip install " + (wanted if wanted == "." else f'"{wanted}"')


def install_advice(*extras):
    """The same as part of a sentence: the command, and where to type it."""
    where = "" if repository() else " in a clone of the repository"
    return f"`{install_line(*extras)}`{where}"
