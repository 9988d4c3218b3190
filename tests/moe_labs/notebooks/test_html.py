import re

from nbformat.v4 import new_code_cell, new_notebook, new_output

from moe_labs.notebooks.html import to_html


def test_the_page_has_the_title_and_the_image_with_its_alternative_text(lab):
    image = new_output(
        "display_data",
        data={"image/png": "aGVsbG8="},
        metadata={"image/png": {"alt": 'A "rising" <line>'}},
    )
    page = to_html(lab, new_notebook(cells=[new_code_cell(outputs=[image])]))
    assert "<title>Lab 01: sums and more</title>" in page
    (tag,) = re.findall(r"<img[^>]*aGVsbG8=[^>]*>", page)
    assert re.search(
        r"""alt=('A "rising" &lt;line&gt;'|"A &quot;rising&quot; &lt;line&gt;")""", tag
    )
