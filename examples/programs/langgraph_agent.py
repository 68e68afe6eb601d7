"""A LangGraph agent: a graph of a model and its tools."""

from __future__ import annotations

from typing import Any

import shop
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

TOOLS = [shop.find, shop.stock]


def run(task: dict[str, Any], base_url: str, api_key: str) -> str:
    """Answer a question about the shop."""
    model = ChatOpenAI(model="gpt-4.1", base_url=base_url, api_key=api_key).bind_tools(TOOLS)
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode(TOOLS))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    asked = [("system", "Use the tools, then answer with the number alone."), ("user", task["question"])]
    return str(graph.compile().invoke({"messages": asked})["messages"][-1].content)
