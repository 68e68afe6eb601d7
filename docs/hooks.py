"""Pages of the API reference, one a module, made from docstrings when the site is built; nothing of it is in the tree.

Called by MkDocs, see https://www.mkdocs.org/dev-guide/plugins/#events.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
HOUSES = ("envs", "sandboxes", "trainer", "bench", "cli")
_LINK = re.compile(r"\]\(\.\./([^)]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each module that offers something, and one a house that lists them."""
    reference: dict[str, Any] = {}
    for house in HOUSES:
        listed = []
        for path in sorted((ROOT / house).rglob("*.py")):
            module = ".".join(["agentrl", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
            tree = ast.parse(path.read_text())
            names = _offered(tree)
            if not names:
                continue
            uri = f"reference/{house}/{module.removeprefix(f'agentrl.{house}').strip('.') or house}.md"
            options = "".join(f'\n        - "{name}"' for name in names)
            text = f"::: {module}\n    options:\n      heading_level: 1\n      members:{options}\n"
            files.append(File.generated(config, uri, content=text))
            first = (ast.get_docstring(tree) or "").partition("\n")[0]
            listed.append(f"| [`{module}`]({Path(uri).name}) | {first} |")
        head = f"# {house}\n\n| module | what it holds |\n|---|---|\n"
        files.append(File.generated(config, f"reference/{house}/index.md", content=head + "\n".join(listed) + "\n"))
        reference[house] = f"reference/{house}/index.md"
    config.nav = [*(config.nav or []), {"Reference": [{house: uri} for house, uri in reference.items()]}]
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Show links out of docs/ as the paths that they are in a checkout: the site does not hold the code."""
    out = re.escape("../" * (page.file.src_uri.count("/") + 1))
    return re.sub(rf"\[([^\]]+)\]\({out}([^)]+)\)", r"`\2`", markdown)


def _offered(tree: ast.Module) -> list[str]:
    """Return what a module's `__all__` names."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)] if not _computed(node.value) else []
    return []


def _computed(value: ast.expr) -> bool:
    return not isinstance(value, ast.List | ast.Tuple)
