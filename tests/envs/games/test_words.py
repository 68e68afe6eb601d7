"""Wordle and Mastermind: marks and pegs against counts made in another way, and an oracle that is always in time."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.errors import UsageError
from agentrl.envs.games.base import moved, split_of
from agentrl.envs.games.mastermind import MastermindEnv, feedback
from agentrl.envs.games.wordle import WordleEnv, fits, marks
from agentrl.envs.games.words import FIVE, FOUR, MORE_FIVE

words = st.text(alphabet="abc", min_size=5, max_size=5)


@given(words, words)
def test_marks_are_those_of_letters_struck_out_one_by_one(secret: str, guess: str) -> None:
    left: list[str | None] = list(secret)
    shown = ["-"] * 5
    for place in range(5):
        if guess[place] == secret[place]:
            shown[place], left[place] = "+", None
    for place in range(5):
        if shown[place] == "-" and guess[place] in left:
            shown[place] = "?"
            left[left.index(guess[place])] = None
    assert marks(secret, guess) == "".join(shown)
    assert fits(secret, guess, marks(secret, guess))


@pytest.mark.parametrize(
    ("secret", "guess", "shown"),
    [
        ("crane", "crane", "+++++"),
        ("abbey", "babes", "??++-"),
        ("sheep", "eerie", "??---"),
        ("knoll", "lolly", "??-+-"),  # the fourth letter is right, the first elsewhere, the third one too many
    ],
)
def test_marks_of_letters_that_come_twice(secret: str, guess: str, shown: str) -> None:
    assert marks(secret, guess) == shown


codes = st.text(alphabet="RGBY", min_size=4, max_size=4)


@given(codes, codes)
def test_pegs_are_those_of_pairs_taken_out(code: str, guess: str) -> None:
    rest, others, placed = [], [], 0
    for peg, other in zip(code, guess, strict=True):
        if peg == other:
            placed += 1
        else:
            rest.append(peg)
            others.append(other)
    misplaced = 0
    for peg in others:
        if peg in rest:
            rest.remove(peg)
            misplaced += 1
    assert feedback(code, guess) == (placed, misplaced)


def test_the_lists_are_words_of_one_length_without_doubles() -> None:
    for listed, length in ((FOUR, 4), (FIVE, 5)):
        assert len(set(listed)) == len(listed) >= 300
        assert all(len(word) == length and word.isascii() and word.islower() for word in listed)


@pytest.mark.parametrize("split", ["train", "test"])
def test_secrets_and_given_guesses_belong_to_one_split_and_are_never_the_example(split: str) -> None:
    for env in (WordleEnv(split=split), MastermindEnv(split=split)):
        for level in range(1, 6):
            for seed in range(40):
                env.reset(seed=seed, options={"level": level})
                secrets = (*env._secrets, *filter(None, [env._given])) if isinstance(env, WordleEnv) else (env._code,)
                assert all(split_of(secret) == split for secret in secrets)
                assert not {"solve", "word", "RGB", "RGBY"} & set(secrets)


def solved(env: WordleEnv, secrets: tuple[str, ...], level: int) -> bool:
    """Play a game about given words."""
    _, info = env.reset(seed=0, options={"level": level})
    env._secrets = secrets
    observation = env.question()
    policy, done = env.oracle(), False
    while not done:
        observation, _, done, _, info = env.step(policy(observation, info))
    return bool(info["success"])


@pytest.mark.parametrize("level", [1, 3, 4, 5])
def test_the_oracle_finds_a_sample_of_all_words_in_time(level: int) -> None:
    env, rng = WordleEnv(), random.Random(level)
    listed = (FOUR if level == 1 else FIVE)[1:]
    for _ in range(20 if level < 5 else 6):
        secrets = tuple(rng.sample(listed, 2 if level == 5 else 1))
        assert solved(env, secrets, level), secrets


def test_a_guess_must_be_listed_or_fit_where_the_level_says_so() -> None:
    env = WordleEnv(level=2)
    env.reset(seed=1)
    assert "-" in env.step(moved("zzzzz"))[0]  # any letters
    env = WordleEnv(level=3)
    env.reset(seed=1)
    assert "is not in the list of words; did you mean " in env.step(moved("cranz"))[0]
    assert "write 5 letters" in env.step(moved("cra"))[0]
    env = WordleEnv(level=4)
    env.reset(seed=1)
    env._secrets = ("stone",)
    assert env.step(moved("State"))[0].startswith("state ++--+")
    assert "crane does not fit the marks of state: ++--+" in env.step(moved("crane"))[0]
    assert env.step(moved("stone"))[4]["success"] is True


@pytest.mark.parametrize("level", range(1, 6))
def test_only_level_1_gives_a_guess_which_earns_nothing(level: int) -> None:
    env = WordleEnv(level=level)
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        given = re.findall(r"^([a-z]{4}) ([+?-]{4})$", observation, re.MULTILINE)
        assert len(given) == (level == 1)
        assert all(marks(env._secrets[0], guess) == shown != "++++" for guess, shown in given)
        assert env.progress() == 0


def test_common_words_are_guesses_though_they_are_never_hidden() -> None:
    assert not set(MORE_FIVE) & set(FIVE)
    assert len(set(MORE_FIVE)) == len(MORE_FIVE)
    assert all(len(word) == 5 and word.isalpha() and word.islower() for word in MORE_FIVE)
    env = WordleEnv(level=3)
    env.reset(seed=1)
    for word in ("their", "years", "stare"):
        assert env.step(moved(word))[0].startswith(f"{word} ")


def test_two_words_are_marked_side_by_side() -> None:
    env = WordleEnv(level=5)
    env.reset(seed=1)
    env._secrets = ("stone", "crane")
    assert env.step(moved("crane"))[0].startswith("crane ---++ +++++")
    assert env.step(moved("stone"))[4]["success"] is True


def test_codes_may_be_written_with_blanks_and_small() -> None:
    env = MastermindEnv(level=2)
    env.reset(seed=1)
    env._code = "RGBY"
    assert env.step(moved("g r b y"))[0].startswith("GRBY: 2 placed, 2 misplaced.")
    assert "write 4 of the letters RGBYOP" in env.step(moved("RGBK"))[0]
    with pytest.raises(UsageError, match="hints=True"):
        MastermindEnv(hints=True)


@pytest.mark.parametrize("level", range(1, 6))
def test_colours_come_twice_from_level_3_on(level: int) -> None:
    env, repeats = MastermindEnv(level=level), 0
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        repeats += len(set(env._code)) < len(env._code)
        assert ("all different" in observation) == (level < 3)
    assert (repeats > 10) == (level > 2)
    assert repeats == 0 or level > 2


@pytest.mark.parametrize("level", range(1, 6))
def test_the_oracle_begins_with_more_than_one_colour(level: int) -> None:
    env = MastermindEnv(level=level)
    guess = env.oracle()(*env.reset(seed=1)).removeprefix("<answer>").removesuffix("</answer>")
    assert len(guess) == len(env._code)
    assert len(set(guess)) > 1


@pytest.mark.parametrize("level", range(1, 6))
def test_the_oracle_finds_codes_in_time(level: int) -> None:
    env = MastermindEnv(level=level)
    for seed in range(30 if level < 5 else 8):
        observation, info = env.reset(seed=seed)
        policy, done = env.oracle(), False
        while not done:
            observation, _, done, _, info = env.step(policy(observation, info))
        assert info["success"], (seed, env._code)
