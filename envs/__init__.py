"""Text-agent environments in plain Gymnasium; importing this package registers them."""

from gymnasium.envs.registration import register

__all__ = ["CONNECTORS"]

CONNECTORS = (
    "AgentRL/Gem-v0",
    "AgentRL/Mcp-v0",
    "AgentRL/OpenEnv-v0",
    "AgentRL/Program-v0",
    "AgentRL/ReasoningGym-v0",
    "AgentRL/Remote-v0",
    "AgentRL/TextArena-v0",
    "AgentRL/Verifiers-v0",
)
"""Environments that are nothing without arguments: they connect to what the user has."""

# A name, and where to find it: nothing else is imported until `gymnasium.make`.
register(id="AgentRL/Search-v0", entry_point="agentrl.envs.search.env:SearchEnv")
register(id="AgentRL/Math-v0", entry_point="agentrl.envs.math.env:MathEnv")
register(id="AgentRL/Code-v0", entry_point="agentrl.envs.code.env:CodeEnv")
register(id="AgentRL/Python-v0", entry_point="agentrl.envs.python.env:PythonEnv")
register(id="AgentRL/Shell-v0", entry_point="agentrl.envs.shell.env:ShellEnv")
register(id="AgentRL/Repo-v0", entry_point="agentrl.envs.repo.env:RepoEnv")
register(id="AgentRL/Browse-v0", entry_point="agentrl.envs.browse.env:BrowseEnv")
register(id="AgentRL/Adventure-v0", entry_point="agentrl.envs.games.adventure:AdventureEnv")
register(id="AgentRL/ConnectFour-v0", entry_point="agentrl.envs.games.connectfour:ConnectFourEnv")
register(id="AgentRL/Mastermind-v0", entry_point="agentrl.envs.games.mastermind:MastermindEnv")
register(id="AgentRL/Minesweeper-v0", entry_point="agentrl.envs.games.minesweeper:MinesweeperEnv")
register(id="AgentRL/Nim-v0", entry_point="agentrl.envs.games.nim:NimEnv")
register(id="AgentRL/Sokoban-v0", entry_point="agentrl.envs.games.sokoban:SokobanEnv")
register(id="AgentRL/TwentyQuestions-v0", entry_point="agentrl.envs.games.questions:TwentyQuestionsEnv")
register(id="AgentRL/Wordle-v0", entry_point="agentrl.envs.games.wordle:WordleEnv")
register(id="AgentRL/Gem-v0", entry_point="agentrl.envs.adapters.gem:GemEnv")
register(id="AgentRL/Mcp-v0", entry_point="agentrl.envs.tools.mcp.env:make")
register(id="AgentRL/OpenEnv-v0", entry_point="agentrl.envs.adapters.openenv:OpenEnvEnv")
register(id="AgentRL/Program-v0", entry_point="agentrl.envs.program.env:ProgramEnv")
register(id="AgentRL/ReasoningGym-v0", entry_point="agentrl.envs.adapters.reasoning:ReasoningGymEnv")
register(id="AgentRL/Remote-v0", entry_point="agentrl.envs.remote.client:RemoteEnv")
register(id="AgentRL/SQL-v0", entry_point="agentrl.envs.sql.env:SqlEnv")
register(id="AgentRL/TextArena-v0", entry_point="agentrl.envs.adapters.textarena:TextArenaEnv")
register(id="AgentRL/ToolUse-v0", entry_point="agentrl.envs.tooluse.env:make")
register(id="AgentRL/Verifiers-v0", entry_point="agentrl.envs.adapters.verifiers:VerifiersEnv")
