"""An agent of the OpenAI Agents SDK, which asks its model by the responses API."""

from __future__ import annotations

from typing import Any

import shop
from agents import Agent, OpenAIProvider, RunConfig, Runner, function_tool

CLERK = Agent[None](
    name="Clerk",
    instructions="Use the tools, then answer with the number alone.",
    model="gpt-4.1",
    tools=[function_tool(shop.find), function_tool(shop.stock)],
)


async def run(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Answer a question about the shop."""
    provider = OpenAIProvider(base_url=base_url, api_key=api_key)
    config = RunConfig(model_provider=provider, tracing_disabled=True)
    result = await Runner.run(CLERK, task["question"], run_config=config)
    return str(result.final_output)
