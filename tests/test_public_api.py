"""What a user can see: `__all__` is exactly that, and every public name has a docstring and full annotations."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HOUSES = ("bench", "cli", "envs", "sandboxes", "trainer")
PATHS = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))


def _module_name(path: Path) -> str:
    return ".".join(["agentrl", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


PACKAGES = [_module_name(path) for path in PATHS if path.stem == "__init__"]
PUBLIC = [name for name in map(_module_name, PATHS) if not any(part.startswith("_") for part in name.split("."))]
# Names of others that stand in a package without being offered, each with its reason.
BORROWED = {"agentrl.envs": {"register"}}  # Gymnasium's: adding an environment is one `register(...)` line
SYNTAX = {"annotations", "TYPE_CHECKING"}


def visible(module: ModuleType) -> set[str]:
    """Return the names that completion offers a user, submodules left out."""
    names = {name for name in dir(module) if not name.startswith("_")} - SYNTAX
    submodules = {name for name in names if inspect.ismodule(getattr(module, name))}
    return names - submodules - BORROWED.get(module.__name__, set())


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_what_is_visible(name: str) -> None:
    module = importlib.import_module(name)
    assert visible(module) == set(module.__all__)
    assert len(module.__all__) == len(set(module.__all__))


def test_every_name_resolves() -> None:
    modules = [importlib.import_module(name) for name in PUBLIC]
    assert [(module.__name__, each) for module in modules for each in module.__all__ if not hasattr(module, each)] == []


def _functions(owner: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the public functions that a class itself defines, properties and wrapped ones unwrapped."""
    for name, member in vars(owner).items():
        if name.startswith("_") and name != "__call__":
            continue
        if isinstance(member, property) and member.fget is not None:
            yield name, member.fget
        elif isinstance(member, staticmethod | classmethod):
            yield name, member.__func__
        elif inspect.isfunction(member):
            yield name, member


def _unannotated(label: str, function: Callable[..., Any]) -> list[str]:
    function = inspect.unwrap(function)
    bare = [
        f"{label}: argument {parameter.name} has no annotation"
        for position, parameter in enumerate(inspect.signature(function).parameters.values())
        if parameter.annotation is parameter.empty and not (position == 0 and parameter.name in ("self", "cls"))
    ]
    if inspect.signature(function).return_annotation is inspect.Signature.empty:
        bare.append(f"{label}: no return annotation")
    return bare


def complaints(name: str, thing: object) -> list[str]:
    """Return what a public class or function lacks."""
    if inspect.isclass(thing):
        # A dataclass without a docstring is given its signature, which says nothing.
        generated = (thing.__doc__ or "").startswith(f"{thing.__name__}(")
        found = [f"{name}: no docstring"] if not vars(thing).get("__doc__") or generated else []
        for each, function in _functions(thing):
            # An override may lean on the contract that it fulfils.
            if not inspect.getdoc(getattr(thing, each)):
                found.append(f"{name}.{each}: no docstring")
            found += _unannotated(f"{name}.{each}", function)
        # A Protocol is given one by `typing`.
        made = "__init__" in vars(thing) and inspect.isfunction(inspect.unwrap(thing.__init__))
        if made and thing.__init__.__module__ != "typing":
            found += _unannotated(f"{name}.__init__", thing.__init__)
        return found
    if inspect.isfunction(thing):
        return [*([] if thing.__doc__ else [f"{name}: no docstring"]), *_unannotated(name, thing)]
    return []


def test_public_names_are_documented_and_annotated() -> None:
    found = []
    for name in PUBLIC:
        module = importlib.import_module(name)
        things = {each: getattr(module, each) for each in module.__all__}
        ours = {each: thing for each, thing in things.items() if getattr(thing, "__module__", None) == name}
        found += [f"{name}: {line}" for each, thing in ours.items() for line in complaints(each, thing)]
    assert found == []


def test_what_lacks_is_seen() -> None:
    class Bare:
        def f(self, x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            return x

    def bare(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return x

    assert complaints("Bare", Bare) == [
        "Bare: no docstring",
        "Bare.f: no docstring",
        "Bare.f: argument x has no annotation",
        "Bare.f: no return annotation",
    ]
    assert complaints("bare", bare) == [
        "bare: no docstring",
        "bare: argument x has no annotation",
        "bare: no return annotation",
    ]
    planted = ModuleType("planted")
    planted.__dict__.update(shown=1, _hidden=2, module=inspect)
    assert visible(planted) == {"shown"}
