"""The versions that a course runs on: those that are installed here."""

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from moe_common.install import NAME as PACKAGE

EXTRAS = ("labs", "spark")  # what the labs need
WITH_EXTRAS = f"{PACKAGE}[{','.join(EXTRAS)}]"


def installed_versions():
    """The packages that the labs stand on, and what these stand on.

    Returns:
        Dictionary from a package's name to the version that is installed here, names sorted.
    """
    versions, waiting = {}, [Requirement(WITH_EXTRAS)]
    seen = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if (name, *sorted(wanted.extras)) in seen:
            continue
        seen.add((name, *sorted(wanted.extras)))
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue  # for another system, or another Python
        for requirement in map(Requirement, requires(name) or ()):
            marker = requirement.marker
            if marker is None or any(
                marker.evaluate({"extra": chosen}) for chosen in ("", *wanted.extras)
            ):
                waiting.append(requirement)
    versions.pop(PACKAGE, None)
    return dict(sorted(versions.items()))


def pins():
    """The same, as the lines of a requirements or constraints file."""
    return "".join(f"{name}=={number}\n" for name, number in installed_versions().items())
