"""`import moe_keras` brings nothing along that `import keras` does not."""

import subprocess
import sys

WHAT_IS_NEW = """
import sys
import keras
before = set(sys.modules)
import moe_keras
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(new - {name.partition(".")[0] for name in before} - sys.stdlib_module_names))
"""


def test_only_the_package_itself_is_imported():
    result = subprocess.run([sys.executable, "-c", WHAT_IS_NEW], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["moe_keras"]
