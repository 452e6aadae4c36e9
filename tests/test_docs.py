import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (REPOSITORY / page).read_text(), re.S)


@pytest.mark.parametrize("page", ["docs/deap.md"])
def test_the_code_of_a_page_runs_as_written(page, tmp_path):
    code = "\n".join(blocks(page))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "(" in done.stdout
