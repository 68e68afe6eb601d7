"""Verdicts on disk: shared by processes, kept from what fails."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.judges import close_judges, judge
from agentrl.envs.rubrics.judges.cache import VerdictCache, cache_path
from tests.completions_server import serving
from tests.envs.rubrics.judges.scripted import episode, honest, says

OTHER = """
import asyncio, json, sys
from agentrl.envs.rubrics.judges import judge, totals
from agentrl.envs.rubrics.transcript import Transcript
url, cache = sys.argv[1:]
scorer = judge(criteria="Good.", judge={"model": "m", "base_url": url, "cache": cache})
def episode(number):
    return Transcript(messages=({"role": "user", "content": "Do it well."},
                                {"role": "assistant", "content": f"<answer>{number % 10 + 1} of {number}</answer>"}))
async def every():
    return await asyncio.gather(*(scorer(episode(number)) for number in range(40)))
print(json.dumps([asyncio.run(every()), totals().num_cache_failures]))
"""


def score(scorer: Any, one: Any) -> float:
    async def wait() -> float:
        return float(await scorer(one))

    return asyncio.run(wait())


def test_processes_share_a_file_and_agree(tmp_path: Path) -> None:
    """Four at once make the file and ask the same; a judge without memory would tell each of them another score."""
    num = 0

    def moody(body: dict[str, Any]) -> str:
        nonlocal num
        num += 1
        return json.dumps({"reason": "", "score": num % 10 + 1})

    path = tmp_path / "folder" / "shared.sqlite"
    with serving(says(moody)) as server:
        command = [sys.executable, "-W", "error", "-c", OTHER, server.url, str(path)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        found = [json.loads(each.communicate(timeout=60)[0]) for each in running]
        asked = len(server.requests)
        last = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert len(server.requests) == asked <= 160
    assert last.stderr == ""  # connections and cache are closed at the end
    assert [failures for _, failures in found] == [0] * 4
    assert [scores for scores, _ in found] == [json.loads(last.stdout)[0]] * 4


def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.sqlite").write_text("this is no database " * 100)
    with serving(says(honest)) as server:
        asked = {"model": "m", "base_url": server.url}
        for cache in (tmp_path / "no.sqlite", tmp_path / "no.sqlite" / "below"):
            scorer = judge(criteria="Good.", judge={**asked, "cache": str(cache)})
            with pytest.raises(
                UsageError, match=r"judge: cache = '.*' cannot be used \(.*write another path, or cache = ''"
            ):
                score(scorer, episode("5 fair"))
        assert server.requests == []


def test_a_file_that_fails_later_is_done_without_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.sqlite"
    with serving(says(honest)) as server:
        scorer = judge(criteria="Good.", judge={"model": "m", "base_url": server.url, "cache": str(path)})
        assert score(scorer, episode("10 best")) == 1.0
        with sqlite3.connect(path) as other:
            other.execute("drop table verdicts")
        other.close()
        assert score(scorer, episode("1 poor")) == 0.0
        assert scorer.totals().num_cache_failures == 2  # it could neither be read nor written


def test_what_stands_there_and_is_no_verdict_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.sqlite"
    with serving(says(honest)) as server:
        scorer = judge(criteria="Good.", judge={"model": "m", "base_url": server.url, "cache": str(path)})
        score(scorer, episode("10 best"))
        close_judges()
        with sqlite3.connect(path) as other:
            other.execute('update verdicts set text = \'{"reason": "", "score": 99}\'')
        other.close()
        assert score(scorer, episode("10 best")) == 1.0
        assert len(server.requests) == 2


def test_another_address_is_another_judge(tmp_path: Path) -> None:
    path = str(tmp_path / "verdicts.sqlite")
    with serving(says(honest)) as one, serving('{"reason": "", "score": 1}') as other:
        for server, expected in ((one, 1.0), (other, 0.0)):
            scorer = judge(criteria="Good.", judge={"model": "m", "base_url": server.url, "cache": path})
            assert score(scorer, episode("10 best")) == expected


def test_the_first_verdict_stays(tmp_path: Path) -> None:
    async def both() -> tuple[str, str, str | None]:
        caches = [VerdictCache(tmp_path / "v.sqlite", "m") for _ in range(2)]
        first = await caches[0].put("key", "one")
        second = await caches[1].put("key", "two")
        found = await caches[1].get("key")
        for cache in caches:
            cache.close()
            cache.close()
        return first, second, found

    assert asyncio.run(both()) == ("one", "one", "one")


def test_another_process_that_writes_for_long_is_waited_for(tmp_path: Path) -> None:
    async def put() -> float:
        cache = VerdictCache(tmp_path / "v.sqlite", "m")
        await cache.get("key")
        other = sqlite3.connect(tmp_path / "v.sqlite", isolation_level=None, check_same_thread=False)
        other.execute("begin immediate")
        loop = asyncio.get_running_loop()
        loop.call_later(0.3, other.execute, "rollback")
        began = time.monotonic()
        assert await cache.put("key", "one") == "one"
        waited = time.monotonic() - began
        assert (await cache.get("key"), cache.num_failures) == ("one", 0)
        cache.close()
        other.close()
        return waited

    assert 0.25 < asyncio.run(put()) < 5  # and the loop went on, or nobody would have let go


def test_where_a_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_path("mine.sqlite") == tmp_path / "agentrl" / "mine.sqlite"
    assert cache_path("./mine.sqlite") == Path("mine.sqlite")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_path("~/mine.sqlite") == tmp_path / "home" / "mine.sqlite"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_path("mine.sqlite") == tmp_path / "home" / ".cache" / "agentrl" / "mine.sqlite"
