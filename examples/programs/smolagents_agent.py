"""A smolagents agent with tools, and with instructions of its own that are shorter than the library's."""

from __future__ import annotations

from typing import Any

import shop
from smolagents import OpenAIModel, ToolCallingAgent, tool

TOOLS = [tool(shop.find), tool(shop.stock)]
PROMPTS = {
    "system_prompt": "Use the tools. Call final_answer with the number alone.",
    "planning": {"initial_plan": "", "update_plan_pre_messages": "", "update_plan_post_messages": ""},
    "managed_agent": {"task": "", "report": ""},
    "final_answer": {"pre_messages": "Answer now.", "post_messages": "{{task}}"},
}


def run(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Answer a question about the shop."""
    model = OpenAIModel("gpt-4.1", api_base=base_url, api_key=api_key)
    agent = ToolCallingAgent(tools=TOOLS, model=model, prompt_templates=PROMPTS, max_steps=5, verbosity_level=0)
    return str(agent.run(task["question"]))
