"""Write docs/guides/outcomes.md, the table of outcomes, exercises, checks and marks."""

from pathlib import Path

from moe_common.files import write_text
from moe_labs.course.outcomes import outcomes_page
from moe_labs.notebooks.catalogue import find_labs

ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    page = outcomes_page(find_labs(ROOT / "notebooks"))
    write_text(ROOT / "docs" / "guides" / "outcomes.md", page)
