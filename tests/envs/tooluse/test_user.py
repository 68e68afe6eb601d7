"""The scripted user: says what is asked for, by cues."""

from __future__ import annotations

import pytest

from agentrl.envs.tooluse.case import Case, Reveal
from agentrl.envs.tooluse.user import ScriptedUser

EMAIL = Reveal(cues=("email", "e-mail"), says="It is bo@mail.test.")
CHANGE = Reveal(cues=("confirm", "shall I"), says="No, the blue one.", again="Yes, the blue one.")
NOTHING = "I have told you what I want. Please go on, or ask me for what you still need."


@pytest.fixture
def user() -> ScriptedUser:
    return ScriptedUser(Case(request="Buy the red one.", steps=(), reveals=(EMAIL, CHANGE)))


@pytest.mark.parametrize("message", ["Your email?", "EMAIL", "what is your E-Mail, please", "(email)"])
def test_a_cue_is_heard_as_whole_words_in_small_and_capital_letters(user: ScriptedUser, message: str) -> None:
    assert user.reply(message) == "It is bo@mail.test."


@pytest.mark.parametrize("message", ["", "emails", "emailed you", "Shall we?", "confirmed", "What is your name?"])
def test_what_holds_no_cue_is_told_to_go_on(user: ScriptedUser, message: str) -> None:
    assert user.reply(message) == NOTHING
    assert user.reply("shall I?") == "No, the blue one."  # nothing was taken as heard


def test_several_cues_are_answered_in_the_order_of_the_case(user: ScriptedUser) -> None:
    assert user.reply("Do you confirm? And your email?") == "It is bo@mail.test. No, the blue one."


def test_asked_again_the_user_says_so_or_the_same(user: ScriptedUser) -> None:
    assert [user.reply("email?") for _ in range(3)] == ["It is bo@mail.test."] * 3
    assert [user.reply("Do you confirm?") for _ in range(3)] == [
        "No, the blue one.",
        "Yes, the blue one.",
        "Yes, the blue one.",
    ]


def test_a_user_goes_back_to_what_was_heard(user: ScriptedUser) -> None:
    fresh = user.snapshot()
    user.reply("Do you confirm?")
    heard = user.snapshot()
    assert user.reply("Do you confirm?") == "Yes, the blue one."
    user.restore(fresh)
    assert user.reply("Do you confirm?") == "No, the blue one."
    assert fresh != heard  # a snapshot is not changed by what follows it
    user.restore(heard)
    assert user.reply("Do you confirm?") == "Yes, the blue one."
