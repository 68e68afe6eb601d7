"""Keep text that the model did not write from being read as control tokens.

A tokenizer reads `<|im_end|>` as one token wherever it stands, also in a web page or a tool's output, which could then
end its own turn and speak as the user. An invisible character in the name leaves the text readable and makes it text.
Templates that separate turns by plain words ("User:") cannot be protected so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from agentrl.trainer.errors import TemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Guard"]


class Guard:
    """Break the names of `control` tokens in text.

    Raises:
        TemplateError: No way of breaking them works with this tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, control: Collection[str]) -> None:
        names = sorted((name for name in control if len(name) > 1), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        ids = {tokenizer.convert_tokens_to_ids(name) for name in names} - {tokenizer.unk_token_id}
        for breaker in ("\u200d", "\u2060", " ", "."):  # a normalizer may strip the invisible ones
            self._breaker = breaker
            if any(breaker in name for name in names):
                continue
            if not any(
                ids.intersection(tokenizer.encode(self.clean(name), add_special_tokens=False)) for name in names
            ):
                return
        raise TemplateError("the tokenizer reads control tokens even where their names are broken by other characters")

    def clean(self, text: str) -> str:
        """Return it with the names of control tokens broken and lone surrogates, which no tokenizer takes, replaced."""
        while self._pattern.search(text):  # again, since names may overlap
            text = self._pattern.sub(lambda match: match[0][0] + self._breaker + match[0][1:], text)
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode(errors="replace").decode()
        return text

    def defuse(self, value: Any) -> Any:
        """Return plain data with every text in it cleaned, keys included."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, Mapping):
            return {self.defuse(key): self.defuse(item) for key, item in value.items()}
        return [self.defuse(item) for item in value] if isinstance(value, (list, tuple)) else value
