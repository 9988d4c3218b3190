"""A wheel of the package that a student may have: without the labs' sources, hence solutions."""

import csv
import io
import zipfile

from moe_labs.course.archive import write_zip
from moe_labs.course.leaks import WHEEL_SOURCES


def student_wheel(path):
    """The bytes of a wheel of moe_keras, less the labs' sources.

    Args:
        path: a wheel, as ``pip wheel --no-deps .`` makes it.

    Returns:
        The bytes of a wheel that pip installs as it would the other.

    Raises:
        ValueError: if it is not a wheel of moe_keras.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise ValueError(f"Expected a wheel, a file .whl. Received: {path}, {error}") from error
    record = next((name for name in files if name.endswith(".dist-info/RECORD")), None)
    if record is None or not record.startswith("moe_keras-"):
        raise ValueError(
            f"Expected a wheel of moe_keras, as 'pip wheel --no-deps .' makes it. Received: {path}"
        )
    kept = {name: data for name, data in files.items() if not name.startswith(WHEEL_SOURCES)}
    rows = csv.reader(io.StringIO(files[record].decode()))
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(row for row in rows if row[0] in kept)
    kept[record] = lines.getvalue().encode()
    result = io.BytesIO()
    write_zip(result, kept)
    return result.getvalue()
