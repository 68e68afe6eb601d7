"""Repo-v0 as a policy meets it: tools, history, grading, attacks, snapshots; on both backends."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.repo import RepoEnv
from agentrl.envs.repo.history import stream
from agentrl.envs.repo.policies import edits


def mend(played: Any) -> None:
    """Make the repair with the tool."""
    for path, text in played.task.fixes.items():
        for each in edits(path, played.task.files[path], text):
            assert "was changed at line" in played.edit(*each)


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_oracle_mends_and_the_floor_does_not(env: RepoEnv, session: Any, split: str, level: int) -> None:
    played = session(env, seed=level, split=split, level=level)
    info = played.play(env.oracle())
    assert (info["reward"], info["success"]) == (1.0, True)
    assert "flags" not in info
    assert session(env, seed=level, split=split, level=level).done()["reward"] == 0.0


def test_visible_tests_are_as_the_level_says(env: RepoEnv, session: Any) -> None:
    for level, failing in ((1, 1), (2, 2), (3, 0), (4, 0), (5, 0)):
        played = session(env, seed=3, level=level)
        said = played.bash(played.task.command)
        assert ("FAILED (" in said, "\nOK" in said) == (failing > 0, failing == 0), said
        assert said.count("\nFAIL:") + said.count("\nERROR:") == failing
        mend(played)
        assert "\nOK" in played.bash(played.task.command)


def test_the_history_is_the_same_everywhere_and_ends_at_the_broken_state(
    env: RepoEnv, session: Any, tmp_path: Path
) -> None:
    played = session(env, seed=2, level=4)
    for command, given in (("init -q", b""), ("fast-import --quiet --done", stream(played.task.commits))):
        subprocess.run(["git", *command.split()], cwd=tmp_path, input=given, check=True, capture_output=True)
    told = subprocess.run(["git", "rev-parse", "main"], cwd=tmp_path, check=True, capture_output=True)
    here = told.stdout.decode().strip()
    assert played.bash("git rev-parse HEAD") == here
    assert played.bash("git status --porcelain") == "(no output)"
    log = played.bash("git log --format='%an %s'").splitlines()
    assert len(log) == len(played.task.commits)
    assert played.bash("git reflog; git stash list; git fsck --lost-found --unreachable --no-reflogs") == "(no output)"
    assert played.bash("ls .git/hooks .git/logs 2>/dev/null; git remote; git tag").startswith("(no output)")
    ever = played.bash("git log -p --all | grep -c '^[+-]'; git count-objects -v | grep packs")
    assert ever.endswith("packs: 0")


def test_an_edit_needs_a_text_that_stands_once(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=1)
    path = played.task.modules[0]
    assert played.edit(path, "not there at all", "x").startswith(f"Error: old does not stand in {path}.")
    assert "blanks and line ends" in played.edit(path, " " + played.task.files[path].splitlines()[4] + "  ", "x")
    assert "times in" in played.edit(path, "e", "x")
    assert played.edit(path, "", "x").startswith("Error: old is empty.")
    assert played.edit(path, "def ", "def ").startswith("Error: old and new are the same")
    assert "cannot be read" in played.edit("none.py", "a", "b")
    assert "cannot be written" in played.create(".", "a")
    for odd in ("a\0b", "a\ud800", "a/" * 3000 + "b", "x" * 5000):
        assert played.create(odd, "a").startswith("Error: ")
        assert played.edit(odd, "a", "b").startswith("Error: ")
    assert played.create("new/deep.py", "a = 1\nb = 2\n") == "new/deep.py was written, 2 lines."
    assert played.bash("cat new/deep.py") == "a = 1\nb = 2"
    played.bash("printf '\\377\\376' > odd.py; ln -s /etc/passwd link.py")
    assert played.edit("odd.py", "a", "b") == "Error: odd.py is not UTF-8 text."
    assert played.edit("link.py", "root", "b").startswith("Error:")


def test_the_shell_keeps_its_folder_and_an_edit_is_seen_at_once(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=1)
    assert played.bash("pwd") == "/work/repo"
    played.bash("cd /tmp; x=5")
    assert played.bash("pwd; echo $x") == "/tmp\n5"
    played.bash(f"cd /work/repo; {played.task.command}")
    mend(played)  # within the same second, and often of the same length
    assert "\nOK" in played.bash(played.task.command)


def test_a_machine_that_ran_out_of_memory_begins_again_with_the_repository(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=1)
    said = played.bash("python3 -c 'x = bytearray(10**10); x[::4096] = b\"x\" * len(x[::4096])'")
    if "needed more memory" not in said:
        pytest.skip("memory is not held here")
    assert played.bash("pwd; git status --porcelain") == "/work/repo"
    mend(played)
    assert played.done()["reward"] == 1.0


def test_the_repair_scores_whatever_else_lies_around(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=4, level=2)
    mend(played)
    played.bash("echo x > notes.txt; git add -A; git commit -qm mended; mkdir docs; echo y > docs/y.md; rm README.md")
    played.create("tests/test_more.py", "import unittest\n")
    assert played.done()["success"] is True


def test_what_is_left_out_is_said(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=4)
    mend(played)
    commands = {
        "link": "ln -s / root",
        "special_file": "mkfifo pipe",
        "too_large": "head -c 300000 /dev/zero > huge.py",
        "startup_file": "touch sitecustomize.py x.pth conftest.py",
        "shadows_library": "echo > json.py",
        "compiled": "touch a.so b.pyc",
        "submodule": "git init -q sub",
        "tests_changed": "rm test_*.py",
        "odd_name": "touch \"$(printf 'a\\001.py')\"",
        "unreadable": "mkdir shut; chmod 0 shut",
    }
    for command in commands.values():
        played.bash(command)
    info = played.done()
    assert sorted(info["flags"]) == sorted(commands)
    assert info["success"] is True, "what is left out is no part of the repair"


def test_too_many_files_are_flagged_and_end_in_time(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=4)
    played.bash("for i in $(seq 600); do echo > f$i.txt; done")
    info = played.done()
    assert "too_much" in info["flags"]
    assert info["reward"] == 0.0


def test_what_fills_other_folders_takes_nothing_of_the_repair(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=4, level=2)
    mend(played)
    played.bash("mkdir zlogs; for i in $(seq 500); do echo > zlogs/$i; done")
    info = played.done()
    assert (info["reward"], info["flags"]) == (1.0, ["too_much"])


def test_a_flood_of_folders_is_not_walked_through(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=4)
    mend(played)
    played.bash("python3 -c 'import os; [os.makedirs(f\"z/{i % 60}/{i}\") for i in range(12000)]'")
    info = played.done()
    assert (info["reward"], info["flags"]) == (1.0, ["too_much"]), "a walk through all of them takes minutes"


def test_shares_are_measured_where_they_weigh(session: Any) -> None:
    env = RepoEnv(backend="auto", weights={"tests": 0.0, "fixed": 0.5, "kept": 0.5})
    try:
        info = session(env, seed=1).done()
        assert (info["rewards"]["fixed"], info["rewards"]["kept"], info["reward"]) == (0.0, 1.0, 0.5)
        assert info["success"] is False
        played = session(env, seed=1)
        mend(played)
        assert played.done()["reward"] == 1.0
    finally:
        env.close()


def test_an_episode_goes_on_from_a_snapshot(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=6, level=2)
    played.bash("cd tests; keep=7; git config user.name Me; git commit -q --allow-empty -m mine")
    taken = pickle.loads(pickle.dumps(env.snapshot()))
    mend(played)
    assert played.done()["reward"] == 1.0
    env.restore(taken)
    assert (
        played.bash("pwd; echo $keep; git log -1 --format='%an %s'; git status --porcelain")
        == "/work/repo/tests\n7\nMe mine"
    )
    assert played.done()["reward"] == 0.0


def test_nothing_of_the_repair_is_in_the_box_or_the_info(env: RepoEnv, session: Any) -> None:
    played = session(env, seed=9, level=3)
    added = {
        line.strip()
        for path, text in played.task.fixes.items()
        for line in set(text.splitlines()) - set(played.task.files[path].splitlines())
    }
    told = str(played.info) + played.observation
    for line in added:
        assert line not in told
        played.create("/tmp/line", line)
        assert played.bash("grep -rFl -f /tmp/line /work /dev/shm /etc 2>/dev/null").startswith("[exit status")


def test_the_demonstrator_wins_sometimes_and_always_ends(env: RepoEnv, session: Any) -> None:
    rewards = []
    for seed in range(8):
        played = session(env, seed=seed)
        rewards.append(played.play(env.demonstrator(np.random.default_rng(seed)))["reward"])
    assert 0 < sum(rewards) < 8


def test_the_prompt_of_level_1_is_short(env: RepoEnv, session: Any) -> None:
    for seed in range(5):
        played = session(env, seed=seed)
        assert len(played.info["system"]) + len(str(played.info["tools"])) + len(played.observation) < 2600


def test_it_is_registered_and_takes_a_kind() -> None:
    env = gym.make("AgentRL/Repo-v0", kind="coins", backend="auto")
    _, info = env.reset(seed=3)
    assert info["task"]["id"].startswith("repo-coins-")
    env.close()
    with pytest.raises(UsageError, match="kind='coins' is of split 'train'"):
        RepoEnv(kind="coins", split="test", backend="auto")
    with pytest.raises(UsageError, match="local"):
        RepoEnv(backend="local")
