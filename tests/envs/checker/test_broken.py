"""Every small broken environment fails the check that is made for it, and no other hides it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from agentrl.envs.checker import check
from agentrl.envs.checker.catalogue import CHECKS
from tests.envs.checker.broken.envs import NAMES, env_id


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the checker must say of a broken environment."""

    fails: str  # the check
    says: str  # a part of its reason
    beside: tuple[str, ...] = ()  # checks that cannot but fail too
    why: str = ""  # why they cannot


CASES = {
    "Startless": Case(fails="starts", says="KeyError: 'no such table' (contract.py:"),
    "Nothing": Case(fails="starts", says="reset gives a int, 0, where a text is expected"),
    "SeedDefault": Case(fails="gymnasium", says="default seed argument"),
    "Overlong": Case(fails="spaces", says="is outside Unicode(1000)"),
    "AnyAction": Case(fails="action-type", says="step(None) is taken as a turn"),
    "Undead": Case(fails="after-end", says="gives the reward 1.0, terminated=True"),
    "CloseOnce": Case(fails="close", says="close() again raises RuntimeError: closed already"),
    "Unseeded": Case(
        fails="seed",
        says="the same seed 0, level 1 gives another episode in the same instance",
        beside=("gymnasium",),
        why="check_env resets twice with a seed as well",
    ),
    "Reseeded": Case(fails="generator", says="three resets without a seed give the same task again"),
    "Counted": Case(fails="determinism", says="the same actions give another result; turn"),
    "Hashed": Case(fails="process", says="another process with PYTHONHASHSEED=4242 plays it differently"),
    "Unsolvable": Case(fails="oracle", says="oracle on seed 0, level 2, train earned 0 of 1 in 6 turns"),
    "Generous": Case(fails="floor", says="noop on seed 0, level 1, which does nothing, earns 1"),
    "Flat": Case(fails="levels", says="level 2 is not harder than level 1 in any measure"),
    "Twin": Case(fails="levels", says="levels 1 and 2 begin with the same observations"),
    "Mixed": Case(fails="splits", says="train and test share 8 of 8 first observations at level 1"),
    "Poor": Case(fails="variety", says="different tasks by their id"),
    "NumpyInfo": Case(fails="protocol", says="is no plain data: Object of type int64"),
    "EarlySuccess": Case(fails="protocol", says="has 'success' before the end of the episode"),
    "Bonus": Case(fails="rewards", says="is 1.5, its weighted components {'exact_match': 1.0} add up to 1.0"),
    "Infinite": Case(fails="rewards", says="is -inf"),
    "Unsuccessful": Case(fails="success", says="earned the full reward, 1.0, and success is False"),
    "Remembering": Case(fails="episodes", says="after an episode that was left in the middle, it goes otherwise"),
    "Shared": Case(fails="instances", says="between turns of other instances it goes otherwise than alone"),
    "Alarmed": Case(fails="threads", says="in a thread it raised ValueError: signal only works in main thread"),
    "Global": Case(fails="globals", says="the global generator of random was moved"),
    "Polluting": Case(fails="surroundings", says="os.environ changed in TOKENIZERS_PARALLELISM"),
    "Brittle": Case(fails="fuzz", says="raises RecursionError"),
    "Crasher": Case(fails="fuzz", says="the process ended with status 3 in step(\"'; DROP TABLE"),
    "Endless": Case(fails="ends", says="prose, said 6 times, does not end the episode; max_turns is 6"),
    "Sleeper": Case(fails="deadlines", says="in step (contract.py:"),
    "Telling": Case(fails="leak", says="the answer stands in info at reset in 100% of 8 tasks"),
    "Quoting": Case(fails="leak", says="the answer stands in replies to turns that do nothing"),
    "Scolding": Case(fails="leak", says="the answer stands in replies to calls with wrong arguments"),
    "Marked": Case(fails="leak", says="the question gives the answer away: the answer stands behind 'erence: '"),
    "Backwards": Case(fails="leak", says="stands in the first observation, reversed: in 100% of 8 tasks"),
    "Rotated": Case(fails="leak", says="stands in the first observation, in rot13: in 100% of 8 tasks"),
    "Hexed": Case(fails="leak", says="stands in the first observation, in hex: in 100% of 8 tasks"),
    "Encoded": Case(fails="leak", says="stands in the first observation, in base64: in 100% of 8 tasks"),
    "HexNamed": Case(fails="leak", says="stands in info at reset, in hex: in 100% of 8 tasks"),
    "EncodedNamed": Case(fails="leak", says="stands in info at reset, in base64: in 100% of 8 tasks"),
    "Underscored": Case(fails="leak", says="stands in info at reset in 100% of 8 tasks"),
    "Debugging": Case(
        fails="leak", says="stands in info at reset: info['debug']['row'][0] is the answer in 8 of 8 tasks"
    ),
    "BackDoor": Case(fails="own-cheats", says="the cheat 'sesame' on seed 100"),
    "Containing": Case(fails="cheats", says="the cheat 'the answer among others' on seed 100"),
    "Ending": Case(fails="cheats", says="the cheat 'the answer as the last alternative' on seed 100"),
    "Beginning": Case(fails="cheats", says="the cheat 'the answer as an alternative' on seed 100"),
    "EndingNumber": Case(fails="cheats", says="the cheat 'junk before the answer' on seed 100"),
    "Thoughtful": Case(fails="cheats", says="the cheat 'the answer in a thought' on seed 100"),
    "Paying": Case(fails="repetition", says="the oracle with every turn twice earns 1.06, more than its 1.04"),
    "Unpicklable": Case(fails="pickling", says="its registration, env.spec cannot be pickled"),
    "Forkless": Case(fails="vector", says="async"),
    "Forgetful": Case(fails="snapshot", says="it goes on otherwise"),
    "Threaded": Case(fails="resources", says="there are 6 more threads than before"),
    "Littering": Case(fails="resources", says="there are 6 more temporary files than before"),
    "Opening": Case(fails="resources", says="left in the middle and closed, there are 6 more descriptors"),
    "Hoarding": Case(fails="memory", says="every episode leaves 29"),
    "Loud": Case(fails="quiet", says="'a new task"),
}
BOXED = {
    "Exposed": Case(fails="box-leak", says="the answer stands in /work/.meta/expected.txt of the box, behind"),
    "Excused": Case(fails="failure", says="its box was destroyed after"),
}
SOUND = {"Sound", "Sums", "Guess"}
FOREIGN = {"SharedGuess", "Cheatless"}


@pytest.mark.parametrize("name", CASES)
def test_a_broken_environment_fails_its_check_alone(name: str) -> None:
    _is_caught(CASES[name], name, "auto")


@pytest.mark.parametrize("name", BOXED)
@pytest.mark.parametrize(
    "backend",
    [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)],
)
def test_a_broken_environment_with_a_box_fails_its_check_alone(name: str, backend: str) -> None:
    _is_caught(BOXED[name], name, backend)


def _is_caught(case: Case, name: str, backend: str) -> None:
    deadline_s = 0.5 if name == "Sleeper" else 120.0
    report = check(env_id(name), backend=backend, skip=["throughput"], deadline_s=deadline_s)
    told = {each.id: each.reason for each in report.results if each.status == "failed"}
    assert set(told) == {case.fails, *case.beside}, told
    assert case.says in told[case.fails]
    assert report[case.fails].hint
    assert not report.ok


def test_every_check_but_the_measuring_one_has_a_broken_environment() -> None:
    caught = {case.fails for case in (CASES | BOXED).values()}
    assert caught == set(CHECKS) - {"throughput"}
    assert set(NAMES) == set(CASES) | set(BOXED) | SOUND | FOREIGN
    assert all(bool(case.beside) == bool(case.why) for case in (CASES | BOXED).values())
