"""What the questions are about: for each kind of data how it is drawn and written, and the truths of its questions."""

__all__: list[str] = []
