"""Lets tests, and the programs that they start, import the files of examples/programs as their users do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "programs"))
