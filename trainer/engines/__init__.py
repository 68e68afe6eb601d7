"""What samples from a model. Import from the modules, so that one engine does not load the libraries of another."""

__all__ = ["ENGINES", "SERVERS"]

ENGINES: dict[str, str] = {
    "torch": "agentrl.trainer.engines.opening:open_torch",
    "vllm": "agentrl.trainer.engines.vllm:VllmEngine",
}
"""What opens each engine, with the arguments of `opening.open_engine`."""

SERVERS = "agentrl.trainer.engines.vllm_servers:VllmServers"
"""What opens vLLM where servers are named or started."""
