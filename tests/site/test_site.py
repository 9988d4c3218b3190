"""The course's website: as it is built, and as a browser shows it."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest

ROOT = Path(__file__).parents[2]

# A page's own account of itself.
FACTS = """() => ({
  lang: document.documentElement.lang,
  headings: document.querySelectorAll("h1").length,
  nameless: [...document.images].filter(image => !image.alt).map(image => image.src),
  broken: [...document.images].filter(image => !image.naturalWidth).map(image => image.src),
  links: [...document.links].map(link => link.href),
  anchors: [...document.querySelectorAll("[id]")].map(element => element.id),
})"""
# What scrolls sideways, though no key reaches it.
UNREACHABLE = """() => [...document.querySelectorAll("article *")].filter(
  element => element.scrollWidth > element.clientWidth && element.tabIndex < 0
    && ["auto", "scroll"].includes(getComputedStyle(element).overflowX)
).map(element => element.outerHTML.slice(0, 100))"""
# One page of each kind.
KINDS = {
    "start": "index.html",
    "lab": "labs/01_natural_or_artificial.html",
    "lab with many tables": "labs/02_hierarchical_gate.html",
    "guide": "guides/students.html",
    "reference": "reference/gates.html",
    "search": "search.html?q=gate",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the website, built anew."""
    pytest.importorskip("myst_nb", reason="needs the extra 'site'")
    folder = tmp_path_factory.mktemp("website") / "site"
    command = [sys.executable, ROOT / "tools" / "make_site.py", folder]
    built = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stderr
    return folder


def addresses(site):
    return {path.as_uri(): path for path in sorted(site.rglob("*.html"))}


@pytest.mark.slow
def test_every_page_opens_alone_and_its_links_lead_somewhere(site, chromium):
    pages, facts, problems = addresses(site), {}, []
    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    tab.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
    tab.on(
        "request",
        lambda sent: (
            None
            if sent.url.startswith((site.as_uri(), "data:"))
            else problems.append(f"outside: {sent.url}")
        ),
    )
    for address in pages:
        tab.goto(address)
        facts[address] = found = tab.evaluate(FACTS)
        assert (found["lang"], found["headings"]) == ("en", 1), address
        assert found["nameless"] == found["broken"] == [], address
    assert problems == []
    tab.close()
    for address, found in facts.items():
        for link in found["links"]:
            place, anchor = urldefrag(link)
            if place in facts:
                assert not anchor or unquote(anchor) in facts[place]["anchors"], (address, link)
            elif place.startswith("file:"):
                assert Path(unquote(place.removeprefix("file://"))).is_file(), (address, link)
            else:
                assert re.match(r"https://[\w.-]+\.\w+(/|$)", link), (address, link)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(site, chromium, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = chromium.new_page(color_scheme=theme, viewport={"width": 1280, "height": 900})
    found = {}
    for kind, page in KINDS.items():
        tab.goto(urljoin(f"{site.as_uri()}/", page))
        for violation in axe.run(tab).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                places = [node["html"][:120] for node in violation["nodes"]]
                found[f"{kind}: {violation['id']}"] = (len(places), places[:3])
    tab.close()
    assert found == {}


@pytest.mark.slow
def test_on_a_phone_only_what_is_wide_scrolls(site, chromium):
    tab = chromium.new_page(viewport={"width": 360, "height": 740})
    for page in KINDS.values():
        tab.goto(urljoin(f"{site.as_uri()}/", page))
        tab.wait_for_function("() => new Promise(requestAnimationFrame)")
        assert tab.evaluate("() => document.documentElement.scrollWidth") <= 360, page
        assert tab.evaluate(UNREACHABLE) == [], page
    tab.close()


@pytest.mark.slow
def test_search_finds_a_gate(site, chromium):
    tab = chromium.new_page()
    tab.goto(urljoin(f"{site.as_uri()}/", "search.html?q=TopKGate"))
    tab.wait_for_selector("#search-results li")
    assert "gates" in tab.inner_text("#search-results")
    tab.close()


# A signature of a Keras layer, a formula, a section of ours, a method, a constant.
SHOWN = {
    "gates": [
        "class BiasBalancedGate(num_experts, top_k=2, update_rate=0.001, **kwargs)",
        "weights = probabilities[indices], divided by their sum if k > 1",
        "Call arguments: inputs \u2013 tensor of shape (B, ..., D).",
    ],
    "mixtures": ["call_experts(experts, inputs, plan, mask=None, training=None)"],
    "data": ["SPECS A mapping with the keys cifar10, mnist, fashion_mnist."],
}


@pytest.mark.slow
@pytest.mark.parametrize("part", SHOWN)
def test_the_reference_shows(site, part):
    page = (site / "reference" / f"{part}.html").read_text("utf-8")
    text = " ".join(unescape(re.sub("<[^>]+>", "", page)).split())
    assert [shown for shown in SHOWN[part] if shown not in text] == []


@pytest.mark.slow
def test_no_answer_is_on_the_website(site):
    from moe_labs.notebooks.catalogue import find_labs
    from moe_labs.notebooks.generate import solution_copy, student_copy

    for lab in find_labs(ROOT / "notebooks"):
        open_text = "\n".join(cell.source for cell in student_copy(lab).cells)
        page = (site / "labs" / f"{lab.slug}.html").read_text("utf-8")
        page = unescape(re.sub("<[^>]+>", "", page))
        assert "BEGIN SOLUTION" not in page
        solved = "\n".join(cell.source for cell in solution_copy(lab).cells)
        answers = re.findall("### BEGIN SOLUTION\n(.*?)### END", solved, re.DOTALL)
        lines = {line.strip() for answer in answers for line in answer.splitlines()}
        told = {line for line in lines if len(line) > 25 and line not in open_text}
        assert told, lab
        assert [line for line in told if line in page] == []
