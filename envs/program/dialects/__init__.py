"""The forms in which programs ask their model: JSON of a request to a `Call`, what the policy said to a response."""

__all__: list[str] = []
