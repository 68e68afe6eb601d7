"""A model small enough to learn on two cores in minutes: a Qwen3 of a million parameters, with its own tokenizer.

The tokenizer is trained on what is said in the environment, and cuts so that a name has the same tokens wherever it
stands, in a document, in a question or inside JSON: a tiny model can then copy it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

__all__ = ["TEMPLATE", "make_tiny_model", "train_tokenizer"]

_PAD, _END = "<|pad|>", "<|end|>"
_ROLES = ("<|user|>", "<|assistant|>", "<|tool|>")
_TAGS = ("<tool_call>", "</tool_call>", "<answer>", "</answer>")
# A word or a run of punctuation takes along the space before a capital, and words in capitals go together: a name then
# has the same tokens wherever it stands. Digits come in pairs.
_PIECES = (
    r" ?[a-z]+(?: (?=[A-Z]))?|[A-Z][a-z]*(?: [A-Z][a-z]+)*|[0-9]{1,2}"
    r"|[^\sA-Za-z0-9]+(?: [^\sA-Za-z0-9]+)*(?: (?=[A-Z]))?|\s"
)

TEMPLATE = """\
{#- A tiny model is trained on one environment: it needs neither the system prompt nor the schemas of the tools. -#}
{%- for message in messages if message.role != "system" -%}
<|{{ message.role }}|>{{ message.content }}<|end|>
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"""


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on `texts`, with the control tokens of `TEMPLATE`."""
    special = [_PAD, _END, *_ROLES]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[*special, *_TAGS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # The tags are ordinary text that happens to be one token: they must not vanish when special tokens are skipped.
    plain = Tokenizer.from_str(_without_special(tokenizer.to_str()))
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token=_PAD,
        eos_token=_END,
        additional_special_tokens=list(_ROLES),
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )


def make_tiny_model(
    tokenizer: PreTrainedTokenizerFast, *, seed: int, hidden: int = 128, layers: int = 4
) -> Qwen3ForCausalLM:
    """Return a Qwen3 with random weights; the global generator is left as it was."""
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        intermediate_size=3 * hidden,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        rope_theta=10_000.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config)


def _without_special(text: str) -> str:
    state = json.loads(text)
    for token in state["added_tokens"]:
        if token["content"] in _TAGS:
            token["special"] = False
    return json.dumps(state)
