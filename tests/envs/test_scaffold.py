"""What `agentrl new` writes: names, targets, and that every kind runs, is typed, is formatted and scores as it says."""

from __future__ import annotations

import json
import keyword
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.scaffold import KINDS, Made, Name, create
from agentrl.envs.scaffold.render import render, templates
from agentrl.envs.scaffold.targets import Target

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LONG = "a-very-long-name-that-just-fits0"


def program(*words: object, folder: Path, **environment: str) -> str:
    """Run a program; return what it printed when it ended well."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a package of an author's own with an environment of each kind, and two of names hard to format."""
    root = tmp_path_factory.mktemp("authors") / "my-envs"
    for name, kind in [*((f"my-{kind}", kind) for kind in KINDS), (LONG, "tools"), ("go2", "sandboxed")]:
        create(name, kind=kind, target=Target.own(root))
    return root


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "folder", "camel"),
    [
        ("spelling-bee", "spelling_bee", "SpellingBee"),
        ("spelling_bee", "spelling_bee", "SpellingBee"),
        ("SpellingBee", "spelling_bee", "SpellingBee"),
        ("HTTPServer", "http_server", "HttpServer"),
        ("go2", "go2", "Go2"),
        ("x", "x", "X"),
        (LONG, LONG.replace("-", "_"), "AVeryLongNameThatJustFits0"),
    ],
)
def test_a_name_in_its_forms(typed: str, folder: str, camel: str) -> None:
    name = Name.of(typed)
    assert (name.folder, name.camel, Name.of(name.typed)) == (folder, camel, name)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("spelling bee", "joined by '-', and begin with a letter; try 'spelling-bee'"),
        ("2048", "try 'task-2048'"),
        ("AgentRL/SpellingBee-v0", "try 'spelling-bee'"),
        ("spelling-bee-v0", "ends with a version, but every environment begins as -v0; try 'spelling-bee'"),
        ("SpellingBee-v1", "try 'spelling-bee'"),
        ("spelling--bee", "try 'spelling-bee'"),
        ("-bee", "try 'bee'"),
        ("bee_", "try 'bee'"),
        ("../bee", "try 'bee'"),
        ("été", "try 't'"),
        ("class-v0", "try 'class-task'"),
        ("", "try 'spelling-bee'"),
        ("---", "try 'spelling-bee'"),
        ("class", "is a word of Python itself; try 'class-task'"),
        ("Import", "try 'import-task'"),
        ("match", "try 'match-task'"),
        ("a" * 33, "has 33 letters; take at most 32"),
    ],
)
def test_a_name_that_cannot_work_is_refused_with_one_that_can(typed: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Name.of(typed)
    assert said in str(caught.value)
    if "try '" in said:
        Name.of(said.split("try '")[1].rstrip("'"))


@pytest.mark.parametrize("typed", [word for word in keyword.kwlist if word.islower()])
def test_no_keyword_is_a_name(typed: str) -> None:
    with pytest.raises(UsageError):
        Name.of(typed)


def test_an_unknown_kind_names_the_near_miss(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--kind tool does not exist; did you mean 'tools'\?"):
        create("bee", kind="tool", target=Target.own(tmp_path / "mine"))
    assert list(tmp_path.iterdir()) == []


# -- targets ---------------------------------------------------------------------------------------------------------


def test_what_exists_is_not_written_over(tmp_path: Path) -> None:
    create("spelling-bee", kind="single-turn", target=Target.own(tmp_path / "mine"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name, said in (("SpellingBee", "has 'spelling_bee' already"), ("spellingbee", "would be mistaken for")):
        with pytest.raises(UsageError, match=said):
            create(name, kind="tools", target=Target.own(tmp_path / "mine"))
    (tmp_path / "mine" / "tests" / "other").mkdir()
    with pytest.raises(UsageError, match=r"tests/other exists already, and nothing is written over"):
        create("other", kind="tools", target=Target.own(tmp_path / "mine"))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("2envs", "'2envs' cannot be one"),
        ("my envs", "cannot be one"),
        ("class", "cannot be one"),
        ("numpy", "a package 'numpy' can be imported here already"),
        ("random", "a package 'random' can be imported here already"),
        ("agentrl", "a package 'agentrl' can be imported here already"),
    ],
)
def test_a_folder_that_cannot_be_a_package(tmp_path: Path, folder: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Target.own(tmp_path / folder)
    assert said in str(caught.value)


def test_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert Target.own(tmp_path / "mine").fresh
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else"):
        Target.own(tmp_path / "mine")
    with pytest.raises(UsageError, match="is a file"):
        Target.own(tmp_path / "mine" / "notes.txt")


def test_outside_a_checkout_a_folder_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="add --to DIR"):
        Target.checkout(tmp_path)
    assert Target.checkout(ROOT / "envs" / "math").root == ROOT


def test_no_word_of_a_template_is_left_over() -> None:
    with pytest.raises(KeyError, match="nobody"):
        render("{{nobody}}", {}, own="mine")
    assert len(templates("every-kind", "tools")) == 8


def test_imports_come_in_the_order_that_ruff_wants() -> None:
    source = "from mine.a import b\nimport zlib\nfrom numpy import c\nimport numpy as np\n\nx = 1\n"
    want = "import zlib\n\nimport numpy as np\nfrom numpy import c\n\nfrom mine.a import b\n\nx = 1\n"
    assert render(source, {}, own="mine") == want
    numbered = "from m.go10 import a\nfrom m.go2 import b\nx = 1\n"
    assert render(numbered, {}, own="m") == "from m.go2 import b\nfrom m.go10 import a\nx = 1\n"


# -- a package of the author's own -----------------------------------------------------------------------------------


def test_ruff_has_nothing_to_say(package: Path) -> None:
    program(BIN / "ruff", "check", "--no-cache", ".", folder=package)
    program(BIN / "ruff", "format", "--no-cache", "--check", ".", folder=package)


@pytest.mark.slow
def test_mypy_has_nothing_to_say(package: Path, tmp_path: Path) -> None:
    options = ("--namespace-packages", "--explicit-package-bases", "--cache-dir", tmp_path)
    # mypy does not follow an editable install; a user's AgentRL is an ordinary one.
    program(BIN / "mypy", *options, "my_envs", "tests", folder=package, MYPYPATH=f"{ROOT / 'typings'}:.")


@pytest.mark.bwrap
@pytest.mark.docker
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "sandboxed")) for kind in KINDS]
)
def test_its_own_tests_pass(package: Path, kind: str) -> None:
    folder = f"tests/{Name.of(f'my-{kind}').folder}"
    said = program(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", folder, folder=package)
    assert " passed" in said
    assert "skipped" not in said


@pytest.mark.docker
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "sandboxed")) for kind in KINDS]
)
def test_its_check_passes_at_once(package: Path, kind: str) -> None:
    env_id = f"my_envs:MyEnvs/{Name.of(f'my-{kind}').camel}-v0"
    (report,) = json.loads(program(BIN / "agentrl", "check", env_id, "--json", folder=package))
    assert report["ok"]


PLAY = """
import sys, gymnasium
env = gymnasium.make(sys.argv[1], disable_env_checker=True)
for seed in range(100):
    for level in range(1, 6):
        for name in ("oracle", "noop", *env.unwrapped.cheats()):
            split = ("train", "test")[seed % 2]
            observation, info = env.reset(seed=seed, options={"split": split, "level": level})
            play = env.unwrapped.cheats().get(name) or getattr(env.unwrapped, name)()
            total, done = 0.0, False
            while not done:
                observation, reward, terminated, truncated, info = env.step(play(observation, info))
                total, done = total + reward, terminated or truncated
            assert (total, info["success"]) == (float(name == "oracle"), name == "oracle"), (name, seed, level)
print("played")
"""


@pytest.mark.parametrize("name", ["MyTools", "MySingleTurn"])
def test_oracle_and_cheats_on_many_seeds(package: Path, name: str) -> None:
    """Each made by `module:id` from the package's folder, as its own process does."""
    assert program(sys.executable, "-c", PLAY, f"my_envs:MyEnvs/{name}-v0", folder=package) == "played\n"


def test_the_package_can_be_installed(package: Path, tmp_path: Path) -> None:
    source = shutil.copytree(package, tmp_path / "source")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target")
    program(*pip, tmp_path / "site", source, folder=tmp_path)
    assert (tmp_path / "site" / "my_envs" / "my_tools" / "README.md").is_file()
    said = program(
        sys.executable,
        "-c",
        "import gymnasium; print(gymnasium.make('my_envs:MyEnvs/MyTools-v0').reset(seed=1)[1]['task']['level'])",
        folder=tmp_path,
        PYTHONPATH=str(tmp_path / "site"),
    )
    assert said == "1\n"


# -- a checkout ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what a checkout is made of, with an environment of each kind in it."""
    root = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "tests/conftest.py"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    ignored = shutil.ignore_patterns("__pycache__")
    for house in ("envs", "sandboxes", "cli", "trainer"):
        shutil.copytree(ROOT / house, root / house, ignore=ignored)
    (root / "typings" / "agentrl").mkdir(parents=True)
    for house in ("envs", "sandboxes"):
        (root / "typings" / "agentrl" / house).symlink_to(root / house)
    for kind in KINDS:
        made = _made_in(root, f"odd-{kind}", kind)
        assert made.env_id.startswith("AgentRL/Odd")
        assert made.folder.parent == root / "envs"
        assert made.tests.parent == root / "tests" / "envs"
    return root


def _made_in(root: Path, name: str, kind: str) -> Made:
    return create(name, kind=kind, target=Target.checkout(root))


def test_a_checkout_s_own_rules_hold(checkout: Path) -> None:
    """Types are the same as in a package of one's own; the order of imports is not."""
    places = ("envs/__init__.py", *checkout.glob("envs/odd_*"), *checkout.glob("tests/envs/odd_*"))
    program(BIN / "ruff", "check", "--no-cache", *places, folder=checkout)
    program(BIN / "ruff", "format", "--no-cache", "--check", *places, folder=checkout)


def test_a_checkout_s_environments_are_registered(checkout: Path) -> None:
    source = "import agentrl.envs, gymnasium; print(gymnasium.make('AgentRL/OddTools-v0').reset(seed=1)[1]['task'])"
    # The houses under their real names, as an editable install of this checkout would show them.
    path = {"PYTHONPATH": str(checkout / "typings"), "PYTHONSAFEPATH": "1"}
    assert "'level': 1" in program(sys.executable, "-c", source, folder=checkout, **path)
    lines = (checkout / "envs" / "__init__.py").read_text().splitlines()
    assert 'register(id="AgentRL/OddTools-v0", entry_point="agentrl.envs.odd_tools.env:OddToolsEnv")' in lines


def test_a_name_that_the_checkout_has(checkout: Path) -> None:
    for name, said in (("Math", "has 'math' already"), ("core", "has 'core' already"), ("tools", "already")):
        with pytest.raises(UsageError, match=said):
            _made_in(checkout, name, "tools")
