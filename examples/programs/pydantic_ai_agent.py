"""A pydantic-ai agent."""

from __future__ import annotations

from typing import Any

import shop
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

clerk = Agent(instructions="Use the tools, then answer with the number alone.", tools=[shop.find, shop.stock])


async def run(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Answer a question about the shop."""
    model = OpenAIChatModel("gpt-4.1", provider=OpenAIProvider(base_url=base_url, api_key=api_key))
    result = await clerk.run(task["question"], model=model)
    return result.output
