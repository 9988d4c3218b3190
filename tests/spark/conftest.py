import pytest

import moe_keras.spark
from moe_keras.spark.java import java_home


@pytest.fixture(scope="session")
def spark():
    """One embedded Spark for all tests of a process; it takes seconds to start."""
    try:
        java_home()
    except RuntimeError as error:
        pytest.skip(f"no Java: {error}")
    session = moe_keras.spark.session("local[2]", memory="1g")
    yield session
    session.stop()
