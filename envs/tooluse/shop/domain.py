"""The shop as a domain of ToolUse."""

from __future__ import annotations

from agentrl.envs.tooluse.case import Domain
from agentrl.envs.tooluse.shop.families import buying, changes, many, questions, returns, simple
from agentrl.envs.tooluse.shop.rules import RULES
from agentrl.envs.tooluse.shop.tools import ShopTools
from agentrl.envs.tooluse.shop.world import populate

__all__ = ["DOMAIN"]

DOMAIN = Domain(
    name="shop",
    role="You are the service desk of a shop.",
    toolset=ShopTools,
    populate=populate,
    rules=RULES,
    families=(
        *simple.FAMILIES,
        *changes.FAMILIES,
        *returns.FAMILIES,
        *buying.FAMILIES,
        *questions.FAMILIES,
        *many.FAMILIES,
    ),
)
