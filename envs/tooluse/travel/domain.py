"""The domain `travel`: a desk that books flights and hotels for travellers."""

from __future__ import annotations

from agentrl.envs.tooluse.case import Domain
from agentrl.envs.tooluse.travel.families import asking, booking, cancelling, changing, goals, minds, searching, simple
from agentrl.envs.tooluse.travel.rules import RULES
from agentrl.envs.tooluse.travel.tools import TravelTools
from agentrl.envs.tooluse.travel.world import populate

__all__ = ["DOMAIN"]

DOMAIN = Domain(
    name="travel",
    role="You are a travel desk.",
    toolset=TravelTools,
    populate=populate,
    rules=RULES,
    families=(
        *simple.FAMILIES,
        *asking.FAMILIES,
        *changing.FAMILIES,
        *booking.FAMILIES,
        *cancelling.FAMILIES,
        *searching.FAMILIES,
        *minds.FAMILIES,
        *goals.FAMILIES,
    ),
)
