"""The index of a large corpus: built once, whole or not at all, and asked like the one in memory."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from agentrl.envs.errors import DataError, InfrastructureError, UsageError
from agentrl.envs.search import diskindex
from agentrl.envs.search.diskindex import default_cache_dir
from agentrl.envs.search.retrieval import Document, FtsIndex

VOCABULARY = [f"w{number}q" for number in range(60)]  # no word is another's stem


def write(path: Path, pages: Iterable[Document]) -> Path:
    path.write_text("".join(json.dumps(vars(page)) + "\n" for page in pages))
    return path


def random_pages(number: int, seed: int = 0) -> list[Document]:
    rng = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(len(VOCABULARY))]
    return [
        Document(
            id=f"d{index}",
            title=" ".join(rng.choices(VOCABULARY, weights, k=2)),
            text=" ".join(rng.choices(VOCABULARY, weights, k=12)),
        )
        for index in range(number)
    ]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write(tmp_path / "pages.jsonl", random_pages(40))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def built(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.sqlite"))


def child(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("number", [1, 2, 3, 40, 400])
def test_it_finds_what_an_index_in_memory_finds(tmp_path: Path, cache: Path, number: int) -> None:
    pages = random_pages(number)
    on_disk = FtsIndex.open(write(tmp_path / "pages.jsonl", pages), cache_dir=cache)
    in_memory = FtsIndex.of(pages)
    rng = random.Random(1)
    for _ in range(50):
        query = " ".join(rng.choices(VOCABULARY, k=rng.randrange(1, 6)))
        assert on_disk.search(query, 10) == in_memory.search(query, 10)
    for query in ("", "unheard", '"(*', "\x00", "\ud800 w1q", "w1q " * 9999):
        assert on_disk.search(query, 3) == in_memory.search(query, 3)
    assert on_disk.search("w1q", 0) == on_disk.search("w1q", -1) == []
    assert on_disk.get("d0") == pages[0]
    assert on_disk.get("d400") is on_disk.get("\ud800") is on_disk.get("\x00") is None
    on_disk.close()
    in_memory.close()


def test_common_words_only_add_to_the_score_of_pages_with_rare_ones(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = random_pages(400)
    on_disk = FtsIndex.open(write(tmp_path / "pages.jsonl", pages), cache_dir=cache)
    in_memory = FtsIndex.of(pages)
    monkeypatch.setattr(diskindex, "MAX_RANKED", 60)

    def holding(word: str) -> set[str]:
        return {page.id for page in pages if word in f"{page.title} {page.text}".split()}

    counts = {word: len(holding(word)) for word in VOCABULARY}
    rare = max((word for word in VOCABULARY if counts[word] <= 60), key=lambda word: counts[word])
    common = [word for word in VOCABULARY if 60 < counts[word] <= 200]
    assert len(common) > 3
    for words in ([rare, common[0]], [rare, *common[:3]], [common[0], rare, VOCABULARY[0]]):
        expected = [hit for hit in in_memory.search(" ".join(words), 100) if hit.doc_id in holding(rare)]
        found = on_disk.search(" ".join(words), len(expected))
        assert len(expected) > 10
        # A word on more than half of the pages weighs a millionth, so it may be left out.
        assert {hit.doc_id: hit.score for hit in found} == pytest.approx(
            {hit.doc_id: hit.score for hit in expected}, abs=1e-5
        )
    # Common words alone are looked for in titles.
    titled = {page.id for page in pages if {common[0], common[1]} & {*page.title.split()}}
    assert {hit.doc_id for hit in on_disk.search(f"{common[0]} {common[1]}", 100)} == titled
    on_disk.close()
    in_memory.close()


def test_the_work_of_one_query_is_bounded(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [
        Document(id=str(number), title=f"t{number}", text="all some" if number % 3 else "all") for number in range(90)
    ]
    index = FtsIndex.open(write(tmp_path / "pages.jsonl", pages), cache_dir=cache)
    monkeypatch.setattr(diskindex, "MAX_RANKED", 10)
    assert index.search("all", 3) == index.search("some all", 3) == []
    assert [hit.doc_id for hit in index.search("all t7 some", 3)] == ["7"]
    monkeypatch.setattr(diskindex, "MAX_SCANNED", 10)
    assert [hit.doc_id for hit in index.search("all t7 some", 3)] == ["7"]
    index.close()


def test_a_corpus_is_indexed_once(corpus: Path, cache: Path) -> None:
    progress: list[int] = []
    FtsIndex.open(corpus, cache_dir=cache, progress=progress.append).close()
    (path,) = built(cache)
    before = path.stat()
    start = time.process_time()
    FtsIndex.open(str(corpus), cache_dir=str(cache), progress=progress.append).close()
    assert time.process_time() - start < 0.5
    assert progress == [0]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert {file.suffix for file in cache.iterdir()} == {".sqlite", ".lock"}


def test_a_changed_corpus_is_indexed_anew(corpus: Path, cache: Path) -> None:
    FtsIndex.open(corpus, cache_dir=cache).close()
    stat = corpus.stat()
    write(corpus, [*random_pages(39), Document(id="d39", title="fresh", text="fresh")])
    index = FtsIndex.open(corpus, cache_dir=cache)
    assert [hit.doc_id for hit in index.search("fresh", 1)] == ["d39"]
    index.close()
    # Another text of the same length, with the times of the first put back as some tools do.
    write(corpus, random_pages(40))
    text = corpus.read_text()
    corpus.write_text(text[:-10] + text[-10:].replace("q", "x"))
    os.utime(corpus, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert corpus.stat().st_size == stat.st_size
    FtsIndex.open(corpus, cache_dir=cache).close()
    assert len(built(cache)) == 3


def test_several_files_make_one_corpus(tmp_path: Path, cache: Path) -> None:
    one = write(tmp_path / "one.jsonl", [Document(id="a", title="Oslo", text="")])
    two = write(tmp_path / "two.jsonl", [Document(id="b", title="Bergen", text="")])
    index = FtsIndex.open([one, two], cache_dir=cache)
    assert [hit.doc_id for hit in index.search("oslo bergen", 5)] == ["a", "b"]
    index.close()
    write(two, [Document(id="c", title="Oslo", text=""), Document(id="a", title="Bergen", text="")])
    with pytest.raises(
        DataError, match=r"two\.jsonl, line 2, field 'id': .*other than that of .*one\.jsonl, line 1; got 'a'"
    ):
        FtsIndex.open([one, two], cache_dir=cache)
    with pytest.raises(UsageError, match="empty list"):
        FtsIndex.open([], cache_dir=cache)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "d3", "title": "t", "text": "again"}', r"pages\.jsonl, line 41, field 'id': .*line 4; got 'd3'"),
        ('{"id": "x", "title": "t"}', r"pages\.jsonl, line 41, field 'text'"),
        ("nonsense", r"pages\.jsonl, line 41: not valid JSON"),
    ],
)
def test_a_bad_row_leaves_no_index(corpus: Path, cache: Path, line: str, message: str) -> None:
    with corpus.open("a") as file:
        file.write(line + "\n")
    for _ in range(2):
        with pytest.raises(DataError, match=message):
            FtsIndex.open(corpus, cache_dir=cache)
        assert {path.suffix for path in cache.iterdir()} <= {".lock"}


def test_a_corpus_that_is_not_there(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the corpus .*none\.jsonl: No such file"):
        FtsIndex.open(tmp_path / "none.jsonl", cache_dir=cache)


def test_a_corpus_that_grows_while_it_is_indexed(corpus: Path, cache: Path) -> None:
    def grow(_: int) -> None:
        with corpus.open("a") as file:
            file.write('{"id": "late", "title": "late", "text": ""}\n')

    with pytest.raises(DataError, match=r"pages\.jsonl changed while its index was built"):
        FtsIndex.open(corpus, cache_dir=cache, progress=grow)
    assert built(cache) == []


def test_a_killed_build_leaves_nothing_that_is_read(corpus: Path, cache: Path) -> None:
    code = """
import sys, time
from agentrl.envs.search.retrieval import FtsIndex
def hang(_):
    print("building", flush=True)
    time.sleep(600)
FtsIndex.open(sys.argv[1], cache_dir=sys.argv[2], progress=hang)
"""
    builder = child(code, corpus, cache)
    assert builder.stdout is not None
    assert builder.stdout.readline() == "building\n"
    assert built(cache) == []
    assert list(cache.glob(".*.tmp"))
    builder.send_signal(signal.SIGKILL)
    builder.communicate()
    index = FtsIndex.open(corpus, cache_dir=cache)
    assert index.get("d39") is not None
    index.close()
    assert len(built(cache)) == 1
    assert not list(cache.glob(".*.tmp"))


def test_processes_that_come_at_once_build_once(corpus: Path, cache: Path) -> None:
    code = """
import sys, time
from agentrl.envs.search.retrieval import FtsIndex
def slow(_):
    print("built", flush=True)
    time.sleep(0.5)
index = FtsIndex.open(sys.argv[1], cache_dir=sys.argv[2], progress=slow)
print(index.search("w1q", 1)[0].doc_id)
index.close()
"""
    outputs = [process.communicate() for process in [child(code, corpus, cache) for _ in range(3)]]
    assert [errors for _, errors in outputs] == [""] * 3
    assert sum("built" in out for out, _ in outputs) == 1
    assert len({out.split()[-1] for out, _ in outputs}) == 1


@pytest.mark.parametrize("damage", [lambda path: os.truncate(path, 8192), lambda path: path.write_bytes(b"x" * 9999)])
def test_a_damaged_index_is_built_anew(corpus: Path, cache: Path, damage: Callable[[Path], object]) -> None:
    FtsIndex.open(corpus, cache_dir=cache).close()
    (path,) = built(cache)
    damage(path)
    index = FtsIndex.open(corpus, cache_dir=cache)
    assert index.get("d39") is not None
    index.close()


def test_an_index_that_is_damaged_in_use_is_a_failure_of_the_infrastructure(corpus: Path, cache: Path) -> None:
    index = FtsIndex.open(corpus, cache_dir=cache)
    os.truncate(built(cache)[0], 4096)
    for read in (lambda: index.search("w1q", 3), lambda: index.get("d3")):
        with pytest.raises(InfrastructureError, match=r"search index .* cannot be read: .*; delete it") as caught:
            read()
        assert (caught.value.kind, caught.value.boundary) == ("index", "retriever")
    index.close()
    with pytest.raises(ValueError, match="closed"):
        index.search("w1q", 3)


def test_a_folder_that_cannot_be_written(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UsageError, match=r"cannot write the search index to .*file/below: Not a directory.*cache_dir=FOLDER"
    ):
        FtsIndex.open(corpus, cache_dir=tmp_path / "file" / "below")


def test_a_disk_that_fills_up(tmp_path: Path, cache: Path) -> None:
    # A limit on the size of a file stands for the full disk; SQLite is told the same.
    code = """
import resource, sys
from agentrl.envs.search.retrieval import FtsIndex
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    FtsIndex.open(sys.argv[1], cache_dir=sys.argv[2])
except Exception as error:
    print(type(error).__name__, error)
"""
    corpus = write(tmp_path / "pages.jsonl", random_pages(3000))
    out, errors = child(code, corpus, cache).communicate()
    assert errors == ""
    assert out.startswith(f"UsageError cannot write the search index to {cache}: ")
    assert "cache_dir=FOLDER" in out
    assert {path.suffix for path in cache.iterdir()} == {".lock"}


def test_a_disk_that_is_too_small_is_refused_at_once(
    corpus: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(corpus.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(UsageError, match="0 MB left; free some space or pass cache_dir=FOLDER"):
        FtsIndex.open(corpus, cache_dir=cache)


def test_the_default_folder(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    FtsIndex.open(corpus).close()
    assert len(built(tmp_path / "xdg" / "agentrl")) == 1
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert default_cache_dir() == tmp_path / "home" / ".cache" / "agentrl"


def test_threads_share_an_index(corpus: Path, cache: Path) -> None:
    index = FtsIndex.open(corpus, cache_dir=cache)
    expected = {word: index.search(word, 5) for word in VOCABULARY}
    wrong: list[str] = []

    def work(seed: int) -> None:
        for word in random.Random(seed).choices(VOCABULARY, k=100):
            if index.search(word, 5) != expected[word] or index.get("d7") is None:
                wrong.append(word)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    index.close()
    index.close()


@pytest.mark.slow
def test_a_build_does_not_hold_the_corpus(tmp_path: Path, cache: Path) -> None:
    code = """
import pathlib, re, sys
from agentrl.envs.search.retrieval import FtsIndex
FtsIndex.open(sys.argv[1], cache_dir=sys.argv[2]).close()
# Not ru_maxrss: a child begins with its parent's, and pytest's workers are large.
print(int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) // 1024)
"""
    rng = random.Random(0)
    corpus = tmp_path / "pages.jsonl"
    with corpus.open("w") as file:
        for number in range(40_000):
            text = " ".join(f"{rng.randrange(100_000):x<120}" for _ in range(50))  # long words cost less time
            file.write(json.dumps({"id": number, "title": f"t{number}", "text": text}) + "\n")
    out, errors = child(code, corpus, cache).communicate()
    assert errors == ""
    assert corpus.stat().st_size > 230 << 20
    assert int(out) < 180
