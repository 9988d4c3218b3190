"""nbval for labs, loaded with ``pytest -p moe_labs.notebooks.nbval_plugin``."""

from nbval.plugin import IPyNbCell

# nbval's own 5 s are too few on a busy machine, where output may lag behind the end of a cell.
OUTPUT_TIMEOUT_SECONDS = 120


def pytest_itemcollected(item):
    """Wait longer for output, and leave out stderr, where libraries speak as they please."""
    if isinstance(item, IPyNbCell):
        item.output_timeout = OUTPUT_TIMEOUT_SECONDS
        if "stderr" not in item.parent.skip_compare:
            item.parent.skip_compare += ("stderr",)
