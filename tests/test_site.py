"""The documentation's site is built as it is published, and a warning is an error: `make docs`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The reference has a page for each module, made from its docstrings.
    page = (tmp_path / "site" / "reference" / "trainer" / "advantage" / "index.html").read_text()
    assert "group_advantages" in page
    assert "arXiv 2402.03300" in page
