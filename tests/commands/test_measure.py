"""`evonas measure` on a device that has little of Python."""

import subprocess
import sys

from evonas.latency import LatencyTable

WITHOUT = ("torchvision", "sklearn", "emcee", "matplotlib", "scoop", "safetensors", "pandas")
BOARD = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {WITHOUT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from evonas.commands.main import begin
sys.argv[1:] = ["measure", "genet", "--input", "3x16x16", "--outputs", "7", "--networks", "2", "--to", "board.json"]
begin()
"""


def test_a_board_measures_a_table_with_torch_and_a_few_light_packages(tmp_path):
    (tmp_path / "board.py").write_text(BOARD)
    done = subprocess.run([sys.executable, "board.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table = LatencyTable.read(tmp_path / "board.json")
    assert any('"linear"' in step and '"features": 7' in step for step, _ in table.ms)
    assert {shape for step, shape in table.ms} >= {(3, 16, 16)}
