"""A LlamaIndex agent, run as a command of its own: it finds its task and its model where the environment says."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import shop
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike


async def run(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Answer a question about the shop."""
    model = OpenAILike(
        "gpt-4.1", api_base=base_url, api_key=api_key, is_chat_model=True, is_function_calling_model=True
    )
    rules = "Use the tools, then answer with the number alone."
    clerk = FunctionAgent(tools=[shop.find, shop.stock], llm=model, system_prompt=rules)
    return str(await clerk.run(task["question"]))


if __name__ == "__main__":
    told = json.loads(Path(os.environ["AGENTRL_TASK"]).read_text())
    print(asyncio.run(run(told, os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"])))
