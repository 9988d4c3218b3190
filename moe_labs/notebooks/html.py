"""An executed lab as one HTML file, which needs nothing beside it."""

from jinja2 import DictLoader
from nbconvert import HTMLExporter

# nbconvert leaves out the alternative text that an image's metadata carries.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block data_png -%}
<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
     alt="{{ output | get_metadata('alt', 'image/png') | escape_html }}">
</div>
{%- endblock data_png -%}
"""


def to_html(lab, notebook):
    """The notebook as a page, images inside, alternative texts kept."""
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"labs.html.j2": TEMPLATE})],
        template_file="labs.html.j2",
        embed_images=True,
    )
    title = f"Lab {lab.number}: {lab.title}"
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    return page
