"""Have a rubric designed by a model, and try any rubric on an oracle, on a floor and on cheats."""

from agentrl.envs.rubrics.design.dialogue import Designed, Record, Round, design
from agentrl.envs.rubrics.design.played import Played, play_all
from agentrl.envs.rubrics.design.prompt import card_of, first_messages
from agentrl.envs.rubrics.design.proposal import rubric_of, toml_of
from agentrl.envs.rubrics.design.trial import Tally, Trial, try_rubric

__all__ = [
    "Designed",
    "Played",
    "Record",
    "Round",
    "Tally",
    "Trial",
    "card_of",
    "design",
    "first_messages",
    "play_all",
    "rubric_of",
    "toml_of",
    "try_rubric",
]
