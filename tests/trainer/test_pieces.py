"""Tokens as text: those of the run's own tokenizer, wherever it lies; nothing where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from agentrl.trainer.pieces import token_texts

BUNDLED = Path(__file__).parents[2] / "trainer" / "bundled" / "search-tiny"


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def test_texts_put_together_are_what_was_said(tmp_path: Path) -> None:
    tokenizer = _tokenizer(BUNDLED / "tokenizer.json")
    ids = tokenizer.encode("The river is Kelni Brook. <tool_call>{1}").ids
    for model in ("bundled:search-tiny", str(BUNDLED)):
        texts = token_texts(tmp_path, model, ids)
        assert texts is not None
        assert "".join(texts) == tokenizer.decode(ids, skip_special_tokens=False)


def test_the_tokenizer_of_a_checkpoint_comes_first(tmp_path: Path, tokenizer: Any) -> None:
    for step in ("step_000001", "step_000002"):
        tokenizer.save_pretrained(tmp_path / "checkpoints" / step)
    ids = tokenizer.encode("the archive of Torvel was founded in 1904")
    texts = token_texts(tmp_path, "bundled:search-tiny", ids)
    assert texts is not None
    assert "".join(texts) == tokenizer.decode(ids)
    shutil.rmtree(tmp_path / "checkpoints")
    assert token_texts(tmp_path, "bundled:search-tiny", ids) != texts


def test_where_none_is_there_are_no_texts(tmp_path: Path) -> None:
    assert token_texts(tmp_path, "nowhere", [1]) is None
    assert token_texts(tmp_path, "", [1]) is None
    assert token_texts(tmp_path, "bundled:../../../etc", [1]) is None
    (tmp_path / "checkpoints" / "step_1").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step_1" / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": 7}}')
    assert token_texts(tmp_path, "nowhere", [1]) is None


def test_ids_that_no_tokenizer_knows_are_empty(tmp_path: Path) -> None:
    assert token_texts(tmp_path, "bundled:search-tiny", [10**9, -5, 2**31, 2**70]) == [""] * 4


def test_the_blank_before_a_word_stays(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"▁the": 0, "▁river": 1, "s": 2, "?": 3}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.save(str(tmp_path / "tokenizer.json"))
    assert token_texts(tmp_path, str(tmp_path), [0, 1, 2]) == [" the", " river", "s"]
