"""Several vLLM servers as one engine: an address each, who is up, which gets an episode, how weights reach them.

Import from the modules; `vllm_servers.py` puts them together.
"""

__all__: list[str] = []
