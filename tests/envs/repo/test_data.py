"""Instances of the user's own: rows, images and outcomes; and whole episodes in an image that is built here."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import DataError, InfrastructureError, UsageError
from agentrl.envs.outcomes import read_outcomes
from agentrl.envs.protocol import Policy
from agentrl.envs.repo import RepoEnv
from agentrl.envs.repo.instances import load, touched
from agentrl.envs.repo.policies import DONE
from agentrl.envs.scripted import call
from agentrl.envs.tools.host import close_backends
from agentrl.sandboxes.images import BASE_IMAGE

OWNER = uuid.uuid4().hex  # of the images of this process, which are removed by it
TEST_IMAGE = f"agentrl-test-instance:{OWNER[:12]}"
UNITTEST = "python3 -m unittest -v {files}"
SOURCE = "def add(a, b):\n    return a - b\n\n\ndef keep(a):\n    return a\n"
OLD_TESTS = (
    "import unittest\n\nfrom calc.core import keep\n\n\nclass Old(unittest.TestCase):\n    def test_keep(self):\n"
    "        self.assertEqual(keep(3), 3)\n"
)
PATCH = """diff --git a/calc/core.py b/calc/core.py
--- a/calc/core.py
+++ b/calc/core.py
@@ -1,5 +1,5 @@
 def add(a, b):
-    return a - b
+    return a + b


 def keep(a):
"""
TEST_PATCH = """diff --git a/tests/test_core.py b/tests/test_core.py
--- a/tests/test_core.py
+++ b/tests/test_core.py
@@ -1,8 +1,11 @@
 import unittest

-from calc.core import keep
+from calc.core import add, keep


 class Old(unittest.TestCase):
     def test_keep(self):
         self.assertEqual(keep(3), 3)
+
+    def test_add(self):
+        self.assertEqual(add(2, 3), 5)
"""
SECRET = "return a + b  # qwyzzle"
MAKE = f"""set -e
mkdir -p /testbed/calc /testbed/tests && cd /testbed
git init -q -b main . && git config user.name T && git config user.email t@example.org
touch calc/__init__.py tests/__init__.py
printf '%b' {SOURCE!r} > calc/core.py
printf '%b' {OLD_TESTS!r} > tests/test_core.py
git add -A && GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z git commit -q -m base
git rev-parse HEAD > /base
printf '%b' 'def add(a, b):\\n    {SECRET}\\n' > calc/core.py && git commit -q -am 'the fix'
"""


def row(**changes: Any) -> dict[str, Any]:
    return {
        "instance_id": "acme__calc-1",
        "repo": "acme/calc",
        "base_commit": "0" * 40,
        "problem_statement": "add(2, 3) gives -1.",
        "patch": PATCH,
        "test_patch": TEST_PATCH,
        "FAIL_TO_PASS": json.dumps(["test_add (tests.test_core.Old)"]),
        "PASS_TO_PASS": ["test_keep (tests.test_core.Old.test_keep)"],
        "version": "1.0",
        "split": "train",
        **changes,
    }


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "instances.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def test_images_are_called_as_the_row_the_argument_or_swe_bench_says(tmp_path: Path) -> None:
    path = written(tmp_path, row(), row(instance_id="b", image_name="own:2"))
    first, second = load(path)["train", 1]
    assert (first.image, second.image) == ("swebench/sweb.eval.x86_64.acme_1776_calc-1:latest", "own:2")
    first, second = load(path, image="my/{repo}.{version}:{instance_id}")["train", 1]
    assert (first.image, second.image) == ("my/acme__calc.1.0:acme__calc-1", "my/acme__calc.1.0:b")
    with pytest.raises(UsageError, match=r"image='\{name\}' names 'name'; there are \{instance_id\}"):
        load(path, image="{name}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"instance_id": ""}, "field 'instance_id'"),
        ({"base_commit": "main"}, "field 'base_commit'"),
        ({"FAIL_TO_PASS": []}, "field 'FAIL_TO_PASS': expected at least one test"),
        ({"FAIL_TO_PASS": "not json"}, "field 'FAIL_TO_PASS': expected a list of tests"),
        ({"PASS_TO_PASS": [3]}, "field 'PASS_TO_PASS'"),
        ({"test_patch": 5}, "field 'test_patch'"),
        ({"image_name": 7}, "field 'image_name'"),
    ],
)
def test_a_bad_row_is_refused_with_its_field(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(written(tmp_path, row(**changes)))


def test_arguments_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, row())
    with pytest.raises(UsageError, match='type backend="docker"'):
        RepoEnv(data=path, backend="bwrap")
    with pytest.raises(UsageError, match="leave out kind='coins'"):
        RepoEnv(data=path, kind="coins", backend="docker")
    with pytest.raises(UsageError, match="give data=PATH"):
        RepoEnv(image="x", backend="docker")
    odd_ones: list[Any] = [3, b"x", [], {"train": 3}]
    for odd in odd_ones:
        with pytest.raises(UsageError, match="type data=FILE"):
            RepoEnv(data=odd, backend="docker")
    for what in ({"image": 3}, {"test_command": 3}):
        with pytest.raises(UsageError, match="=3 must be a text"):
            RepoEnv(data=path, backend="docker", **what)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no instance of split 'test'"):
        RepoEnv(data=path, split="test", backend="docker")


def test_outcomes_are_read_of_pytest_and_of_unittest() -> None:
    said = read_outcomes(
        "PASSED tests/test_a.py::test_x[1 - 2]\nFAILED tests/test_a.py::test_y - assert 1 == 2\n"
        "ERROR tests/test_b.py\nSKIPPED [1] tests/test_c.py:3: no\nXFAIL tests/test_a.py::test_z\n"
    )
    assert "tests/test_a.py::test_y" in said.failed
    assert "tests/test_a.py::test_z" in said.passed
    assert not said.is_contradictory
    said = read_outcomes(
        "test_a (t.T.test_a) ... ok\ntest_b (t.T.test_b)\nWhat it does. ... FAIL\ntest_c (t.T) ... skipped 'why'\n"
    )
    assert said.all_passed(["test_a (t.T)", "test_a (t.T.test_a)"])
    assert not said.all_passed(["test_b (t.T)"])
    assert not said.all_passed(["test_c (t.T)"])
    assert not said.all_passed(["test_never_told (t.T)"])
    assert said.share([]) == 1.0


def test_what_is_told_in_two_ways_has_failed() -> None:
    said = read_outcomes("PASSED t.py::a\nFAILED t.py::a - x\nPASSED t.py::b\n")
    assert said.is_contradictory
    assert said.passed == {"t.py::b"}


def test_the_paths_of_a_patch() -> None:
    assert touched(TEST_PATCH) == ("tests/test_core.py",)
    assert touched("") == ()


@pytest.fixture(scope="module")
def commit() -> Iterator[str]:
    """Build the image of an instance, with the fix in its history as in some real ones; give its base commit."""
    import docker

    client = docker.from_env()
    try:
        made = client.containers.create(
            BASE_IMAGE, entrypoint=["/bin/sh", "-c", MAKE], command=[], user="0:0", network_disabled=True
        )
        try:
            made.start()
            assert made.wait(timeout=60)["StatusCode"] == 0, made.logs()
            stream, _ = made.get_archive("/base")
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
                member = archive.extractfile("base")
                assert member is not None
                base = member.read().decode().strip()
            repository, _, tag = TEST_IMAGE.partition(":")
            made.commit(repository=repository, tag=tag, changes=f"LABEL agentrl.test={OWNER}")
        finally:
            made.remove(force=True)
        yield base
        close_backends()  # warm boxes hold the images
        images = client.images.list(filters={"label": f"agentrl.test={OWNER}"})  # what was made of it has its label too
        for image in sorted(images, key=lambda image: str(image.attrs["Created"]), reverse=True):
            client.images.remove(image.id, force=True)
    finally:
        client.close()


@pytest.fixture(scope="module")
def env(commit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RepoEnv]:
    path = written(tmp_path_factory.mktemp("data"), row(base_commit=commit, image_name=TEST_IMAGE))
    made = RepoEnv(data=path, test_command=UNITTEST, backend="docker")
    yield made
    made.close()


def played(env: RepoEnv, policy: Policy) -> dict[str, Any]:
    observation, info = env.reset(seed=1)
    while True:
        observation, reward, terminated, truncated, info = env.step(policy(observation, info))
        if terminated or truncated:
            assert "failure" not in info, info
            return {**info, "reward": reward, "observation": observation}


def said(*commands: str) -> Policy:
    turns = iter([*(call("bash", command=each) for each in commands), DONE])
    return lambda observation, info: next(turns)


@pytest.mark.docker
def test_the_patch_of_the_row_solves_an_instance_and_nothing_else_does(env: RepoEnv) -> None:
    env.reset(seed=1)
    assert played(env, env.oracle())["reward"] == 1.0
    assert played(env, said())["reward"] == 0.0
    edited = said("sed -i 's/a - b/b + a/' /testbed/calc/core.py", "git -C /testbed commit -qam mended")
    assert played(env, edited)["success"] is True
    broken = said("sed -i 's/a - b/b + a/; s/return a$/return 0/' calc/core.py")
    assert played(env, broken)["success"] is False


@pytest.mark.docker
def test_the_fix_is_not_in_the_box(env: RepoEnv) -> None:
    env.reset(seed=1)
    looked = "git log --all --oneline; git fsck --lost-found; git reflog; grep -rn qwyzzle / --include=*.py 2>/dev/null"
    observation, *_ = env.step(call("bash", command=looked))
    assert observation.count("base") == 1
    assert SECRET not in observation
    observation, *_ = env.step(call("bash", command="zcat -f .git/objects/*/* 2>/dev/null | grep -ac qwyzzle; ls /"))
    assert observation.startswith("0")


@pytest.mark.docker
@pytest.mark.parametrize(
    "name", ["nothing", "conftest", "sitecustomize", "tests removed", "git history", "configuration"]
)
def test_cheats_on_an_instance_earn_nothing(env: RepoEnv, name: str) -> None:
    env.reset(seed=1)
    info = played(env, env.cheats()[name])
    assert info["reward"] == 0.0
    flag = {
        "conftest": "startup_file",
        "sitecustomize": "startup_file",
        "tests removed": "tests_changed",
        "configuration": "no_repository",
    }.get(name)
    assert flag is None or flag in info["flags"]


@pytest.mark.docker
def test_edited_tests_are_put_back(env: RepoEnv) -> None:
    empty = (
        "printf 'import unittest\\nclass Old(unittest.TestCase):\\n  def test_add(self): pass\\n' > tests/test_core.py"
    )
    info = played(env, said(empty))
    assert (info["reward"], info["flags"]) == (0.0, ["tests_changed"])


@pytest.mark.docker
def test_a_missing_image_or_commit_is_said(tmp_path: Path, commit: str) -> None:
    env = RepoEnv(data=written(tmp_path, row(image_name="agentrl-none:9")), backend="docker")
    with pytest.raises(InfrastructureError, match="type `docker pull agentrl-none:9`"):
        env.reset(seed=1)
    env.close()
    env = RepoEnv(data=written(tmp_path, row(image_name=TEST_IMAGE, base_commit="f" * 40)), backend="docker")
    with pytest.raises(InfrastructureError, match="there is no commit"):
        env.reset(seed=1)
    env.close()
