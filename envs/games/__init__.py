"""Multi-turn text games, an id each: `AgentRL/Wordle-v0`, `AgentRL/Nim-v0` and others; see README.md."""

__all__: list[str] = []
