"""Build the course's website: ``python tools/make_site.py [--solutions] [FOLDER]``.

Pages come from the labs as they ran, the guides, the docstrings, the results and the start of the
README; their sources are written to FOLDER-source, from which Sphinx makes FOLDER (build/site). Any
warning is an error.
"""

import argparse
import shutil
import sys
from pathlib import Path

import nbformat
from lab_page import lab_page
from reference_pages import package_pages, reference_pages
from site_links import Links
from sphinx.cmd.build import main as sphinx

from moe_common.files import write_text
from moe_common.install import repository
from moe_common.stopping import keeping, stops_at_once
from moe_labs.notebooks.catalogue import find_labs
from moe_labs.notebooks.generate import student_copy
from moe_labs.notebooks.readme import badges

ROOT = Path(__file__).parents[1]
CONFIGURATION = ROOT / "docs" / "website"

NEXT = """
## Where next

- New here? The [students' guide](guides/students.md) goes from nothing to the first lab.
- You teach? The [lecturers' guide](guides/lecturers.md) says how to adopt, release and grade.
- You build? The [reference](reference/index.md) has every gate, expert and mixture, and the
  [contributors' guide](guides/contributing.md) how to add one.
- You doubt? The [results](results.md) come with their intervals and commands.
"""
OPEN = "The answers to its exercises are left open."
SOLVED = "This copy is for lecturers: it shows the answers."


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Build the course's website.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--solutions", action="store_true", help="show the labs' answers")
    options = parser.parse_args(arguments)
    source = options.folder.with_name(f"{options.folder.name}-source")
    strict = ["--fail-on-warning", "--keep-going", "--quiet", "--jobs=2"]
    places = ["-c", CONFIGURATION, "-d", source / ".doctrees", source, options.folder]
    with keeping(lambda: f"The website is incomplete: {options.folder}"):
        for folder in (source, options.folder):
            shutil.rmtree(folder, ignore_errors=True)
        write_sources(source, find_labs(ROOT / "notebooks"), options.solutions)
        failed = sphinx([*strict, *map(str, places)])
    if not failed:
        print(f"The website: {options.folder / 'index.html'}")
    return failed


def write_sources(folder, labs, solutions=False):
    """Write what Sphinx reads: every page, the images and the notebooks to download."""
    pages = {
        "README.md": "index.md",
        "docs/results.md": "results.md",
        "CONTRIBUTING.md": "guides/contributing.md",
    }
    for file in sorted((ROOT / "docs" / "guides").glob("*.md")):
        name = "index.md" if file.name == "README.md" else file.name
        pages[f"docs/guides/{file.name}"] = f"guides/{name}"
    for lab in labs:
        for path in (lab.student_copy, lab.solution):
            pages[path.relative_to(ROOT).as_posix()] = f"labs/{lab.slug}.ipynb"
    address = repository(ROOT)
    links = Links(ROOT, pages | package_pages(), address)

    for file, page in pages.items():
        if page.endswith(".md"):
            text = links.rewrite((ROOT / file).read_text("utf-8"), file, page)
            write_text(folder / page, text_of(page, text, labs, pages.values()))
    for page, text in reference_pages().items():
        write_text(folder / "reference" / page, text)
    for lab in labs:
        copy = f"notebooks/{lab.slug}.ipynb"
        write_text(folder / f"downloads/{lab.slug}.ipynb", nbformat.writes(student_copy(lab)))
        opened = links.rewrite(" or ".join(badges(copy, address)), "README.md", pages[copy])
        page = lab_page(lab, about(lab, opened, solutions), solutions)
        write_text(folder / pages[copy], nbformat.writes(page))
    for place, file in links.images.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / place)


def text_of(page, text, labs, pages):
    """A page with what it has on the website alone: lists of labs, contents of the sidebar."""
    if page == "index.md":
        start, _, _ = text.partition("\n## Labs\n")
        introduction, heading, commands = start.partition("\n## ")
        contents = toctree("Labs", [f"labs/{lab.slug}" for lab in labs])
        contents += toctree("More", ["results", "guides/index", "reference/index"])
        return "".join([introduction, labs_table(labs), NEXT, heading, commands, contents])
    if page == "guides/index.md":
        names = [Path(name).name for name in pages if name.startswith("guides/") and name != page]
        # In the order of the index; what it leaves out comes last.
        names.sort(key=lambda name: (f"]({name})" not in text, text.find(f"]({name})")))
        return text + toctree("Guides", [Path(name).stem for name in names])
    return text


def toctree(caption, entries):
    """What the sidebar lists."""
    return "\n".join(
        ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```", ""]
    )


def labs_table(labs):
    rows = ["## Labs", "", "| Lab | Minutes to run | You learn to |", "| --- | ---: | --- |"]
    rows += [
        f"| [{lab.number} {lab.title}](labs/{lab.slug}.ipynb) | {lab.minutes} | {lab.outcomes} |"
        for lab in labs
    ]
    return "\n" + "\n".join(rows) + "\n"


def about(lab, opened, solutions):
    """What stands below a lab's introduction: how to work on it."""
    return (
        "```{note}\n"
        f"This page shows the lab as it ran, with its figures. {SOLVED if solutions else OPEN} "
        f"To work on it, {{download}}`download the notebook <../downloads/{lab.slug}.ipynb>`"
        f"{opened and f' or {opened}'}; the [students' guide](../guides/students.md) says how."
        "\n```"
    )


if __name__ == "__main__":
    with stops_at_once():
        sys.exit(main())
