"""Compute the packages from the folders: `envs/tools` is `agentrl.envs.tools`. All else is in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
HOUSES = ("bench", "cli", "envs", "sandboxes", "trainer")
DATA = "*.toml *.md *.json *.jinja *.safetensors *.html *.css *.js py.typed Dockerfile *.sh *.txt".split()

setup(
    packages=[
        f"agentrl.{house}{sub}"
        for house in HOUSES
        for sub in ["", *(f".{name}" for name in find_packages(str(ROOT / house)))]
    ],
    package_dir={f"agentrl.{house}": house for house in HOUSES},
    package_data={f"agentrl.{house}": [f"**/{pattern}" for pattern in DATA] for house in HOUSES},
)
