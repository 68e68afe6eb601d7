"""Where a model's weights are, and a digest of all that decides what it says: a changed model is another agent.

The digest is over the content of weights, configuration and tokenizer, so that a copy is the same model. Names of the
Hugging Face hub are fetched first; nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentrl.bench.errors import UsageError

__all__ = ["digest_of", "find_weights", "places_of"]

_KINDS = (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt", ".tiktoken")  # of a model and its tokenizer
_BUNDLED = "bundled:"


def find_weights(name: str) -> Path:
    """Return the folder that a model's name means: a path, `bundled:NAME`, or a name of the hub, which is fetched.

    Raises:
        UsageError: There is no such model.
    """
    if name.startswith(_BUNDLED):
        from importlib import resources

        bundled = Path(str(resources.files("agentrl.trainer") / "bundled"))
        known = sorted(path.name for path in bundled.iterdir() if path.is_dir())
        if name.removeprefix(_BUNDLED) not in known:
            raise UsageError(f"model {name!r} is not bundled; there is {', '.join(_BUNDLED + each for each in known)}")
        return bundled / name.removeprefix(_BUNDLED)
    path = Path(name).expanduser()
    if path.exists():
        if not (path / "config.json").is_file():
            run = " (a training run is named run:DIR)" if (path / "config.toml").is_file() else ""
            raise UsageError(f"model {name!r} is a path without config.json{run}; give what save_pretrained wrote")
        return path
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UsageError(f"model {name!r} does not exist; give a folder with config.json, or a Hugging Face name")
    return _fetched(name)


def digest_of(folder: Path) -> str:
    """Return a digest of a model's files by content; read once for as long as they stay as they are.

    Raises:
        UsageError: The folder cannot be read.
    """
    try:
        files = sorted(path for path in folder.rglob("*") if path.suffix in _KINDS and path.is_file())
        seen = tuple((str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
        return _digest(folder, seen)
    except OSError as error:
        raise UsageError(f"the model in {folder} cannot be read: {error}") from error


def places_of(folder: Path) -> int | None:
    """Return how many tokens the model has places for, where its configuration says.

    Raises:
        UsageError: The configuration is damaged.
    """
    path = folder / "config.json"
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        told = {**told, **(told.get("text_config") or {})}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{path} is no configuration of a model: {error}; give what save_pretrained wrote") from error
    places = told.get("max_position_embeddings") or told.get("n_positions")
    return places if isinstance(places, int) else None


@lru_cache(maxsize=16)
def _digest(folder: Path, seen: tuple[tuple[str, int, int], ...]) -> str:
    found = hashlib.sha256()
    for name, size, _ in seen:
        found.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        with (folder / name).open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:16]


def _fetched(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise UsageError(
            f"model {name!r} is no folder, and fetching it needs more: pip install 'agentrl-gym[train]'"
        ) from error
    patterns = [f"*{kind}" for kind in _KINDS if kind != ".bin"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=patterns))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*patterns, "*.bin"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UsageError(
            f"model {name!r} is no folder and could not be fetched: {first} Give a folder, or a Hugging Face name "
            "such as Qwen/Qwen3-0.6B"
        ) from error
    return folder
