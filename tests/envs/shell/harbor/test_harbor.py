"""Whole episodes of tasks in Harbor's format, in images that are built here: solutions, cheats, faults of the judge."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.scripted import call
from agentrl.envs.shell import ShellEnv
from agentrl.envs.shell.harbor.policies import CHEATS
from agentrl.envs.shell.policies import DONE
from tests.envs.shell.harbor.conftest import TOTAL, played, said, written

pytestmark = pytest.mark.docker
Make = Callable[..., ShellEnv]
SOLVED = ("echo 42 > sum.txt", TOTAL)


@pytest.fixture(scope="module")
def env(owner: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShellEnv]:
    folder = tmp_path_factory.mktemp("data")
    written(folder / "sum", owner=owner)
    made = ShellEnv(data=folder, build=True, max_turns=40)
    yield made
    made.close()


@pytest.fixture
def make(owner: str, tmp_path: Path) -> Iterator[Make]:
    """Make environments of one task each, with some of its files changed."""
    every: list[ShellEnv] = []

    def made(options: dict[str, Any] | None = None, **changes: str | None) -> ShellEnv:
        folder = written(tmp_path / str(len(every)) / "task", owner=owner, **changes)
        every.append(ShellEnv(data=folder, max_turns=40, **{"build": True, **(options or {})}))
        return every[-1]

    yield made
    for each in every:
        each.close()


def bash(env: ShellEnv, command: str) -> str:
    observation, *_ = env.step(call("bash", command=command))
    return observation


def test_the_solution_solves_the_task(env: ShellEnv) -> None:
    env.reset(seed=1)
    info = played(env, env.oracle())
    assert (info["reward"], info["success"], info.get("flags")) == (1.0, True, None)
    assert info["rewards"]["score"] == 1.0
    assert played(env, env.noop(), seed=2)["reward"] == 0.0


def test_the_agent_meets_the_image_and_the_instruction_alone(env: ShellEnv) -> None:
    observation, info = env.reset(seed=1)
    assert observation == "Write the sum of numbers.txt to sum.txt, and total.sh that adds its arguments."
    assert info["task"] == {"id": "sum", "split": "train", "level": 1}
    assert "folder /app" in info["system"]
    assert bash(env, "pwd; cat numbers.txt | tail -1; ./kept.sh; echo $COLOUR; cd /") == "/app\n39\nkept\ngreen"
    assert bash(env, "pwd; ls /tests/ /solution/ /logs/ 2>&1 | grep -c 'cannot access'; id -u") == "/\n3\n1000"
    assert "Read-only" in bash(env, "echo x > /usr/bin/x") + bash(env, "echo x > /usr/lib/x")


@pytest.mark.parametrize("name", CHEATS)
def test_no_cheat_earns_anything(env: ShellEnv, name: str) -> None:
    env.reset(seed=1)
    info = played(env, env.cheats()[name])
    assert "failure" not in info, info
    assert (info["reward"], info["success"], info["rewards"]["score"]) == (0.0, False, 0.0)


def test_a_right_solution_counts_beside_what_does_not(env: ShellEnv) -> None:
    """What is left out of a cheat is left out, and nothing more: after the work it earns what the work is worth."""
    for name in ("replaces the tests", "files that act when Python starts", "modules in place of Python's"):
        info = played(env, said(*SOLVED, CHEATS[name]))
        assert info["reward"] == 1.0, (name, info)
    info = played(env, said(*SOLVED, CHEATS["files that act when Python starts"]))
    assert info["flags"] == ["startup_file"]


@pytest.mark.parametrize(
    ("harm", "flags"),
    [
        # The file with what is expected is where the link leads, by then.
        ("ln -sf /tests/expected.txt sum.txt", ["link"]),
        ("ln -sf /work/.grading/tests/expected.txt sum.txt", ["link"]),
        ("ln -sf ../../.grading/tests/expected.txt sum.txt", ["link"]),
        ("mkdir -p d; ln -s /usr/lib d/a; ln -sf d/a/../../tests/expected.txt sum.txt", ["link"]),
        ("ln -sf /proc/self/root/tests/expected.txt sum.txt", ["link"]),
        ("rm -f sum.txt; mkfifo sum.txt", ["special_file"]),
    ],
)
def test_no_link_leads_to_the_tests(env: ShellEnv, harm: str, flags: list[str]) -> None:
    info = played(env, said(TOTAL, harm))
    assert (info["reward"], info["flags"]) == (0.0, flags)


def test_links_deletions_and_permissions_are_carried(make: Make) -> None:
    looks = 'cd /app && [ ! -e kept.sh ] && [ -x run ] && [ "$(readlink l)" = d/f ] && [ "$(cat l h)" = "xx" ] && ./run'
    env = make({"test_command": looks})
    work = (
        "rm kept.sh; mkdir d; printf x > d/f; ln -s d/f l; ln d/f h; printf '#!/bin/sh\\nexit 0' > run; chmod 755 run"
    )
    assert played(env, said(work))["reward"] == 1.0
    assert played(env, said(work, "chmod 644 run"))["reward"] == 0.0
    assert played(env, said(work, "rm d/f"))["reward"] == 0.0


def test_the_images_own_start_up_files_act_and_the_agents_do_not(make: Make) -> None:
    dockerfile = "FROM agentrl/base:1\nWORKDIR /app\nCOPY numbers.txt conftest.py\nCOPY numbers.txt queue.py\n"
    env = make(
        {"test_command": "tail -1 conftest.py queue.py > /tmp/x; cat /tmp/x; grep -c 39 conftest.py; grep 5 queue.py"},
        environment_Dockerfile=dockerfile,
    )
    info = played(env, said("echo 5 > queue.py; rm conftest.py; echo 6 > conftest.py"))
    assert (info["reward"], info["flags"]) == (1.0, ["startup_file"])


def test_parts_of_a_reward_are_the_score(make: Make) -> None:
    for number, text in enumerate(('{"reward": 0.25, "shape": 1.0}', '{"a": 0, "b": 0.5}', "0.25")):
        env = make(tests_test_sh=f"echo 0.9 > /logs/verifier/reward.txt; echo '{text}' > /logs/verifier/reward.json")
        info = played(env, said())
        assert (info["rewards"]["score"], info["rewards"]["exact_match"], info["success"]) == (0.25, 0.0, False), number


@pytest.mark.parametrize("text", ["", "nan", "inf", "passed", "{}", '{"reward": "x"}', "[" * 9000])
def test_a_reward_that_is_none_is_a_fault_of_the_tests(make: Make, text: str) -> None:
    info = played(make(tests_test_sh=f"printf '{text}' > /logs/verifier/reward.json"), said())
    assert info["failure"]["kind"] == "tests"
    assert "write no reward" in info["failure"]["message"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec /tests/absent-program", "cannot be started"),
        ("python3 -m pytest /tests; echo 0 > /logs/verifier/reward.txt", "No module named pytest"),
        ("exit 3", "write no reward"),
        ("sleep 60", "end with timeout"),
    ],
)
def test_tests_that_do_not_work_are_nobodys_zero(make: Make, script: str, words: str) -> None:
    toml = '[metadata]\nsplit = "train"\n[verifier]\ntimeout_sec = 2.0\n'
    info = played(make(tests_test_sh=script, task_toml=toml), said())
    assert (info["failure"]["kind"], info["failure"]["boundary"]) == ("tests", "judge")
    assert words in info["failure"]["message"]
    assert "test_command=" in info["failure"]["message"]


def test_tests_that_hang_without_the_work_are_believed_where_they_pass_the_solution(make: Make) -> None:
    toml = '[metadata]\nsplit = "train"\n[verifier]\ntimeout_sec = 3.0\n'
    for number, script in enumerate(("until [ -f /app/sum.txt ]; do sleep 0.1; done", "set -e; cat /app/sum.txt")):
        env = make(tests_test_sh=f"{script}; echo 1 > /logs/verifier/reward.txt", task_toml=toml)
        info = played(env, said())
        assert (info["reward"], info["flags"]) == (0.0, [("timeout", "no_reward")[number]]), info
        assert played(env, env.oracle())["reward"] == 1.0


def test_a_program_that_ruins_its_tests_is_the_agents_zero(make: Make) -> None:
    env = make(task_toml='[metadata]\nsplit = "train"\n[verifier]\ntimeout_sec = 8.0\n')
    for harm, flag in (
        ("kill -9 -1", "signal"),
        ("while :; do :; done", "timeout"),
        ("setsid sh -c 'while :; do echo 1 > /logs/verifier/reward.txt; done' & exit 1", "contradictory_outcomes"),
    ):
        info = played(env, said("echo 42 > sum.txt", f"cat > total.sh <<'EOF'\n{harm}\nEOF"))
        assert (info["reward"], "failure" in info) == (0.0, False), (harm, info)
        assert flag in info.get("flags", []) or harm.startswith("setsid"), (harm, info)


def test_a_folder_that_is_too_large_is_said(make: Make) -> None:
    toml = '[metadata]\nsplit = "train"\n[environment]\nmemory_mb = 1024\nstorage_mb = 300\n'
    info = played(make(task_toml=toml), said("head -c 200000000 /dev/zero > big"))
    assert (info["reward"], info["flags"]) == (0.0, ["too_much"])


@pytest.mark.parametrize(
    ("harm", "flag"),
    [
        ("chmod 000 kept.sh", "unreadable"),
        ("mkdir d; mv kept.sh d; ln -s d/kept.sh kept.sh; chmod 000 d", "unreadable"),
        ("rm -rf /work/.root/app", "unreadable"),
        ("head -c 100000000 /dev/zero > big", "unreadable"),  # a disk that is full: as much is packed as fits
        ("head -c 100000000 /dev/zero > big; truncate -s -8192 big", "unwritable"),  # and no tests beside it
        ("head -c 20000000 /dev/zero > big; for n in 1 2 3 4; do ln big big$n; done", "unwritable"),
        ("printf x > a; i=0; while [ $i -lt 20000 ]; do ln a $i; i=$((i+1)); done", "unwritable"),
    ],
)
def test_what_is_not_carried_does_not_pass_for_deleted(make: Make, harm: str, flag: str) -> None:
    toml = '[metadata]\nsplit = "train"\n[environment]\nmemory_mb = 512\nstorage_mb = 64\n'
    env = make({"test_command": "[ -d /app ] && [ ! -e /app/kept.sh ] && [ ! -e /app/d/kept.sh ]"}, task_toml=toml)
    info = played(env, said(harm))
    assert (info["reward"], "failure" in info) == (0.0, False), info
    assert flag in info["flags"], info
    assert played(env, said("rm kept.sh"))["reward"] == 1.0


def test_a_session_and_its_files_are_taken_back(env: ShellEnv) -> None:
    env.reset(seed=1)
    bash(env, "mkdir d; cd d; echo 42 > ../sum.txt; X=5")
    packed = pickle.dumps(env.snapshot())
    bash(env, "rm ../sum.txt; cd /")
    env.restore(pickle.loads(packed))
    assert bash(env, "pwd; echo $X; cat ../sum.txt") == "/app/d\n5\n42"
    bash(env, f"cd ..; {TOTAL}")
    assert env.step(DONE)[1] == 1.0


def test_a_box_without_memory_begins_anew(make: Make) -> None:
    env = make(task_toml='[metadata]\nsplit = "train"\n[environment]\nmemory_mb = 256\nstorage_mb = 64\n')
    env.reset(seed=1)
    bash(env, "rm numbers.txt; cd /")
    assert "needed more memory" in bash(env, "python3 -c 'bytearray(10**10)' || tail /dev/zero")
    assert bash(env, "pwd; ls") == "/app\nkept.sh\nnumbers.txt"


def test_two_at_once_do_not_meet(env: ShellEnv, make: Make) -> None:
    other = make()
    env.reset(seed=1)
    other.reset(seed=1)
    bash(env, "; ".join(SOLVED))
    assert bash(other, "ls") == "kept.sh\nnumbers.txt"
    assert other.step(DONE)[1] == 0.0
    assert env.step(DONE)[1] == 1.0


def test_other_folders_are_written_where_they_are_named(make: Make) -> None:
    env = make(
        {"writable": ["/app", "/srv/www", "/etc/own"], "test_command": "grep hi /srv/www/index && grep hi /etc/own/x"}
    )
    assert played(env, said("echo hi | tee /srv/www/index /etc/own/x"))["reward"] == 1.0
    assert played(env, said("echo hi > /srv/www/index"))["reward"] == 0.0


def test_terminal_bench_layout(make: Make) -> None:
    files = {
        "task.yaml": "instruction: |-\n  Sum up.\nsplit: train\nparser_name: pytest\nmax_test_timeout_sec: 60.0\n",
        "Dockerfile": "FROM agentrl/base:1\nWORKDIR /app\n",
        "docker-compose.yaml": "services:\n  client:\n    build:\n      dockerfile: Dockerfile\n",
        "run-tests.sh": "cd $TEST_DIR && python3 -m unittest -v test_sum\n",
        "solution.sh": f"echo 42 > sum.txt\n{TOTAL}\n",
    }
    gone = dict.fromkeys(
        ["instruction_md", "task_toml", "environment_Dockerfile", "tests_test_sh", "solution_solve_sh"]
    )
    env = make(**files, **gone)
    observation, _ = env.reset(seed=1)
    assert observation == "Sum up."
    assert played(env, env.oracle())["reward"] == 1.0
    assert played(env, said("echo 42 > sum.txt"))["reward"] == 0.0
    assert played(env, said("echo 42 > sum.txt; echo 'kill -9 -1' > total.sh"))["reward"] == 0.0


def test_images_are_named_built_or_missed(owner: str, tmp_path: Path) -> None:
    folder = written(
        tmp_path / "task", task_toml='[metadata]\nsplit = "train"\n[environment]\ndocker_image = "no/such:9"\n'
    )
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "type `docker pull no/such:9`, or name an image of this machine .*, or build it with build=True"),
        ({"image": "no/{task}:1"}, "'no/task:1' is not on this machine"),
    ]
    for options, words in cases:
        env = ShellEnv(data=folder, **options)
        with pytest.raises(InfrastructureError, match=words):
            env.reset(seed=1)
        env.close()
    bare = written(tmp_path / "bare", environment_Dockerfile=None)
    with pytest.raises(InfrastructureError, match="names no docker_image and has no Dockerfile to build it of; name"):
        ShellEnv(data=bare, build=True).reset(seed=1)
    written(folder, environment_Dockerfile="FROM agentrl/base:1\nNONSENSE\n")
    env = ShellEnv(data=folder, build=True)
    with pytest.raises(InfrastructureError, match=r"Dockerfile cannot be built: .*NONSENSE"):
        env.reset(seed=1)
    env.close()
    with pytest.raises(UsageError, match=r"\{task\} stands for"):
        ShellEnv(data=folder, image="x/{name}")


def test_an_image_that_has_gone_is_made_again(make: Make) -> None:
    import docker

    env = make(environment_Dockerfile="FROM agentrl/base:1\nWORKDIR /app\nENV NEW=1\n")
    env.reset(seed=1)
    gone = env.box.spec.image
    env.close()
    from agentrl.envs.tools.host import close_backends

    close_backends()
    client = docker.from_env()
    client.images.remove(gone, force=True)
    client.close()
    assert played(env, said(*SOLVED))["reward"] == 1.0


def test_tests_are_not_in_the_box_before_the_end(env: ShellEnv) -> None:
    env.reset(seed=1)
    found = bash(env, "grep -rl -e reward.txt -e test_program / --include=*.sh --include=*.py 2>/dev/null | head")
    assert found == "(no output)"
