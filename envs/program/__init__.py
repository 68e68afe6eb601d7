"""Programs that call a model, as environments: what they ask is the observation, what the policy says the answer."""

__all__: list[str] = []
