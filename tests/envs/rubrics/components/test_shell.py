"""Lines of a shell are read as a shell would, without running them."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.rubrics.components.shell import MAX_DEPTH, Command, commands_in


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("", []),
        ("# rm -rf /", []),
        ("a b  c", [("a", "b", "c")]),
        ("a#b #c", [("a#b",)]),
        ("a;b&c\nd", [("a",), ("b",), ("c",), ("d",)]),
        ("a && b || c", [("a",), ("b",), ("c",)]),
        ("a 'b c' \"d e\" f\\ g", [("a", "b c", "d e", "f g")]),
        ("r''m \"r\"m \\rm", [("rm", "rm", "rm")]),
        ("a ''", [("a", "")]),
        ('a "b\\"c" \'d\\\' e', [("a", 'b"c', "d\\", "e")]),
        ("a \\\n b", [("a", "b")]),
        ("a 'b;c' \"d|e\"", [("a", "b;c", "d|e")]),
        ("a >b 2>c 2>&1 <d e", [("a", "e")]),
        ("a 2 >b", [("a", "2")]),
        ("a &>b; c >>d", [("a",), ("c",)]),
        ("a $(b c) d", [("b", "c"), ("a", "", "d")]),
        ("a x`b`y", [("b",), ("a", "xy")]),
        ('a "$(b "c d")"', [("b", "c d"), ("a", "")]),
        ("a '$(b)'", [("a", "$(b)")]),
        ("a <(b) >(c)", [("b",), ("c",), ("a", "", "")]),
        ("(a; b) | c", [("a",), ("b",), ("c",)]),
        ("a) b", [("a",), ("b",)]),
        ("a 'b", [("a", "b")]),
        ("a $(b", [("b",), ("a", "")]),
        ("cat <<E\nx; y\nE\nb", [("cat",), ("b",)]),
        ("cat <<-'E'\n\tx\n\tE\nb", [("cat",), ("b",)]),
        ("cat <<A <<B\n1\nA\n2\nB\nc", [("cat",), ("c",)]),
        ("cat <<E", [("cat",)]),
        ("cat <<<'a b' c", [("cat", "c")]),
    ],
)
def test_words(script: str, words: list[tuple[str, ...]]) -> None:
    assert [command.words for command in commands_in(script)] == words


def one(script: str) -> Command:
    return commands_in(script)[-1]


def test_what_belongs_to_a_command() -> None:
    assert (one("a >b 2>>c <d >|e &>f").writes, one("a <d").reads) == (("b", "c", "e", "f"), ("d",))
    assert one("a 2>&1").writes == ("1",)
    assert one("a <<E\nx\ny\nE\n").texts == ["x\ny"]
    assert one("a <<-E\n\tx\n\tE\n").texts == ["\tx"]
    assert one("a <<<'x y'").texts == ["x y"]
    assert [each.words for each in one("a $(b; c) `d`").inner] == [("b",), ("c",), ("d",)]


def test_a_pipe_knows_what_comes_in() -> None:
    last = one("a | b |& c")
    assert last.before is not None
    assert last.before.before is not None
    assert (last.words, last.before.words, last.before.before.words) == (("c",), ("b",), ("a",))
    assert [each.before for each in commands_in("a || b; c && d & e")] == [None] * 5
    piped = one("(a; b) | c").before
    assert piped is not None
    assert piped.words == ("b",)
    assert [one(f"(a) {mark} c").before for mark in ("||", ";", "&&", "\n")] == [None] * 4


def test_nesting_ends_at_a_depth() -> None:
    deep = "$(" * (MAX_DEPTH + 5) + "a" + ")" * (MAX_DEPTH + 5)
    assert ("a",) in [command.words for command in commands_in(deep)]
    assert commands_in("$(" * 100_000)


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh")
@given(
    st.lists(
        st.text("ab'\"\\ $#;|&\t", max_size=6).filter(lambda text: "$" not in text and "\n" not in text),
        min_size=1,
        max_size=4,
    )
)
def test_quoted_words_are_read_as_sh_reads_them(words: list[str]) -> None:
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    assert [command.words for command in commands_in(f"printf {quoted}")] == [("printf", *words)]


@pytest.mark.parametrize("text", ["a\\ b 'c'd\"e\"", "'a'\\''b'", '"a\\$b" c\\\\d', "a'b'\"c d\"e", "a\\'b \"'\" '\"'"])
def test_words_are_those_of_sh(text: str) -> None:
    script = f"for each in {text}; do printf '%s\\n' \"$each\"; done"
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=20).stdout
    assert list(one(f"x {text}").words[1:]) == told.splitlines()
