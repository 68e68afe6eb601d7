"""The report: everything is there, nothing in it runs, and it can be read at any moment of a run."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.metrics import MetricsLog
from agentrl.trainer.report import write_curve_svg, write_report
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.transcripts import escape, pick_pairs, visible
from agentrl.trainer.types import Episode

SUMMARY = {
    "success_before": 0.461,
    "success_after": 0.965,
    "greedy_before": 0.527,
    "greedy_after": 0.980,
    "num_episodes": 3840,
    "train_seconds": 312.4,
    "seed": 3,
    "model_parameters": 921_216,
}
ELEMENTS = """html head meta title style body main header footer h1 h2 h3 p div span b em strong code pre figure
    figcaption details summary svg desc g rect line circle polyline polygon text"""
ATTRIBUTES = """lang charset name content http-equiv class id open style role aria-labelledby xmlns viewbox font-size
    font-weight text-anchor x y x1 x2 y1 y2 cx cy r rx width height points transform stroke-width"""
ATTACKS = (
    "<script>alert(1)</script>",
    "</pre></div><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    "]]><svg onload=alert(1)>",
    "<!-- ",
    "&lt;script&gt;",
    "$heading ${cards} $$",
    "a\u202eb\u2066c\u200bd\ufeffe\x00f\x1b[31mg\x07h\udc80i\U000e0041j\u2028k",
)


class Page(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.raw = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []  # (innermost element, text)
        self.feed(self.raw)
        self.close()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag != "meta":  # the page's only element without an end; shapes close themselves
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def text(self) -> str:
        return "".join(data for element, data in self.texts if element != "style")

    def charts(self) -> dict[str, ElementTree.Element]:
        """Every chart by its title; each must be well-formed XML."""
        found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", self.raw, re.DOTALL)]
        return {chart[0].text or "": chart for chart in found}


def episode(task: int, *, success: bool | None, said: str = "<answer>x</answer>", **changes: Any) -> Episode:
    base = Episode(
        env_id="AgentRL/Search-v0",
        seed=task,
        step=0,
        group=task,
        member=0,
        attempt=0,
        split="test",
        level=2,
        task_id=f"task-{task}",
        token_ids=[1, 2, 3],
        mask=[False, True, True],
        logprobs=[0.0, -1.0, -1.0],
        reward=float(bool(success)),
        rewards={"exact_match": float(bool(success)), "f1": 0.25},
        success=success,
        failure=None,
        truncated_by=None,
        messages=[
            {"role": "system", "content": "the system prompt"},
            {"role": "user", "content": f"question {task}"},
            {"role": "assistant", "content": said},
        ],
        num_turns=1,
        versions=[0],
        timings={},
        advantage=0.0,
    )
    return replace(base, **changes)


def make_run(run: Path, *, steps: int = 40) -> Path:
    run.mkdir()
    with MetricsLog(run / "metrics.jsonl") as log:
        for step in range(1, steps + 1):
            figures = {
                "success": min(1.0, 0.4 + step / 50),
                "reward": step / steps,
                "reward_std": 0.4,
                "rewards/f1/mean": 0.5,
                "rewards/format/mean": 0.9,
                "entropy": 1.0 / step,
                "kl": step * 1e-4,
                "completions/mean_length": 40.0,
                "completions/min_length": 20.0,
                "completions/max_length": 90.0,
                "completions/clipped_ratio": 0.01,
                "clip_ratio/region_mean": 0.002,
                "perf/tokens_per_s": 9876.0,
                "perf/step_s": 0.9,
                "something/new": 3.0,
            }
            log.write(step, figures | ({"failures/timeout": 2.0} if step == 7 else {}))
    with RolloutStore(run / "rollouts.sqlite") as store:
        store.add([episode(task, success=False, said="before training") for task in range(3)], phase="eval_before")
        store.add([episode(task, success=True, said="after training") for task in range(3)], phase="eval_after")
    (run / "summary.json").write_text(json.dumps(SUMMARY))
    (run / "config.toml").write_text('model = "tiny"\n')
    return run


def test_every_part_is_there(tmp_path: Path) -> None:
    path = write_report(make_run(tmp_path / "run"))
    assert path == tmp_path / "run" / "report.html"
    page = Page(path)
    assert page.open == []
    charts = page.charts()
    for title in ("Success", "Reward", "Reward components", "Entropy", "KL to the reference", "Clipped tokens"):
        assert title in charts
    for title in ("Length of an episode", "Cut off", "Tokens per second", "Step", "Infrastructure failures"):
        assert title in charts
    assert "Something/new" in charts  # what nobody foresaw is drawn too
    assert "Gradient norm" not in charts  # what was not measured is not
    for words in ("46.1% → 96.5%", "52.7% → 98.0%", "3,840", "5 min 12 s", "921k parameters", "seed 3"):
        assert words in page.text
    assert 'model = "tiny"' in page.text
    assert not list(tmp_path.glob("run/*.part"))


def test_charts_show_the_figures(tmp_path: Path) -> None:
    charts = Page(write_report(make_run(tmp_path / "run"))).charts()
    space = "{http://www.w3.org/2000/svg}"
    success = charts["Success"]
    words = [text.text for text in success.iter(f"{space}text")]
    assert {"0%", "20%", "100%", "step", "held out, before", "46.1%", "held out, after", "98.0%"} <= set(words)
    tips = [title.text for title in success.iter(f"{space}title")]
    assert "training: 42.0% at step 1" in tips
    assert "Success" in tips
    said = success.findtext(f"{space}desc")
    assert said is not None
    assert said.startswith("training: from 42.0% at step 1 to 100.0% at step 40. sampled before training: 46.1%.")
    assert success.get("role") == "img"
    assert len(list(charts["Length of an episode"].iter(f"{space}polygon"))) == 1  # the band
    assert {"f1", "format"} <= {text.text for text in charts["Reward components"].iter(f"{space}text")}
    failures = [title.text for title in charts["Infrastructure failures"].iter(f"{space}title")]
    assert "timeout: 0 at step 6" in failures  # a step without the metric had none
    assert "timeout: 2 at step 7" in failures


def test_ids_are_unique_and_labels_point_at_them(tmp_path: Path) -> None:
    page = Page(write_report(make_run(tmp_path / "run")))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) > 20
    for _, attributes in page.elements:
        assert set(attributes.get("aria-labelledby", "").split()) <= set(ids)


def test_the_same_task_stands_side_by_side(tmp_path: Path) -> None:
    page = Page(write_report(make_run(tmp_path / "run")))
    shown = page.text[page.text.index("Episodes before and after") :]
    assert shown.index("task-0") < shown.index("question 0") < shown.index("before training")
    assert shown.index("before training") < shown.index("after training") < shown.index("task-1")
    assert shown.count("question 0") == 1  # what both share is shown once
    for words in ("before: not solved", "after: solved", "exact_match 1", "f1 0.25", "2 tokens sampled", "1 turn"):
        assert words in shown


def test_hostile_text_is_inert_everywhere(tmp_path: Path) -> None:
    everything = " ".join(ATTACKS)
    run = make_run(tmp_path / "run<img src=x onerror=alert(1)>")
    with MetricsLog(run / "metrics.jsonl") as log:
        log.write(
            41, {f"rewards/{everything}/mean": 1.0, f"failures/{everything}": 1.0, everything: 1.0, "perf/<b>_s": 1}
        )
    messages: list[dict[str, Any]] = [
        {"role": attack, "name": attack, "content": attack, "tool_calls": [attack]} for attack in ATTACKS
    ]
    messages += [{"role": "assistant", "content": attack} for attack in ATTACKS]
    messages += [{"role": "user", "content": {"parts": list(ATTACKS)}}, {"content": None}, {}]
    hostile = episode(
        99,
        success=True,
        env_id=everything.replace("\udc80", ""),
        task_id=everything,
        messages=messages,
        rewards={everything: 1.0},
        failure={"kind": everything, "message": everything},
        truncated_by="<u>",
    )
    with RolloutStore(run / "rollouts.sqlite") as store:
        store.add([hostile], phase="eval_before")
        store.add([replace(hostile, success=False)], phase="eval_after")
    (run / "config.toml").write_text(everything.replace("\udc80", ""))
    (run / "summary.json").write_text(json.dumps({**SUMMARY, "seed": everything, "num_episodes": [everything]}))
    page = Page(write_report(run))
    assert page.open == []
    assert {tag for tag, _ in page.elements} <= set(ELEMENTS.split())
    assert {name for _, attributes in page.elements for name in attributes} <= set(ATTRIBUTES.split())
    bad = [char for char in page.raw if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in "\n\t"]
    assert bad == []
    assert "alert(1)</script>" in page.text  # shown as what it is
    assert r"a\u202eb\u2066c\u200bd\ufeffe\x00f\x1b[31mg\x07h\udc80i\U000e0041j\u2028k" in page.text
    assert "$heading ${cards} $$" in page.text
    assert page.charts()
    curve = write_curve_svg(run, tmp_path / "curve.svg")
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(curve).iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "text", "line", "circle", "polyline"}


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    raw = write_report(make_run(tmp_path / "run")).read_text()
    assert set(re.findall(r"https?://[^\"' ]+", raw)) == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"url\(|@import|\b(src|href)=", raw)
    assert "default-src 'none'; style-src 'unsafe-inline'" in raw
    assert "prefers-color-scheme:dark" in raw


@given(st.text(st.characters()))
def test_escaped_text_is_text(text: str) -> None:
    assert not set(escape(text).replace('<span class="ctl">', "").replace("</span>", "")) & set("<>\"'")
    assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs") or char in "\n\t" for char in visible(text))
    assert visible("plain text, ü 漢 →\n") == "plain text, ü 漢 →\n"


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_short_run_has_a_report(steps: int, tmp_path: Path) -> None:
    assert "Success" in Page(write_report(make_run(tmp_path / "run", steps=steps))).charts()


def test_a_long_run_stays_small(tmp_path: Path) -> None:
    path = write_report(make_run(tmp_path / "run", steps=5000))
    assert path.stat().st_size < 2_000_000
    assert write_curve_svg(tmp_path / "run", tmp_path / "curve.svg").stat().st_size < 60_000


def test_a_run_in_progress_can_be_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for name in ("summary.json", "rollouts.sqlite", "config.toml"):
        (run / name).unlink()
    page = Page(write_report(run))
    assert "40 steps so far" in page.text
    assert "No held-out episodes are stored." in page.text
    assert "held out, before" not in page.text
    (run / "metrics.jsonl").write_text("")
    assert "0 steps so far" in Page(write_report(run)).text
    ElementTree.parse(write_curve_svg(run, tmp_path / "curve.svg"))


def test_only_the_episodes_before_exist(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "rollouts.sqlite").unlink()
    with RolloutStore(run / "rollouts.sqlite") as store:
        store.add([episode(1, success=True)], phase="eval_before")
    text = Page(write_report(run)).text
    assert "before: solved" in text
    assert "not played" in text


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="give the folder that `agentrl train` wrote"):
        write_report(tmp_path)
    run = make_run(tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"curve\.svg could not be written: No such file"):
        write_curve_svg(run, tmp_path / "absent" / "curve.svg")
    (run / "summary.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"summary\.json: .*; delete the file"):
        write_report(run)


def test_the_picture_for_the_readme_stands_alone(tmp_path: Path) -> None:
    path = write_curve_svg(make_run(tmp_path / "run"), tmp_path / "curve.svg")
    raw = path.read_text()
    root = ElementTree.fromstring(raw)
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0] == "Success on Search-v0"
    for word in ("GRPO step", "tasks solved", "46.1%", "96.5%", "52.7%", "98.0%", "sampled", "greedy"):
        assert word in words
    assert "prefers-color-scheme:dark" in raw  # and paper of its own below the words
    assert root.find("{http://www.w3.org/2000/svg}rect") is not None


def test_pairs_show_gains_first_and_hide_no_failure() -> None:
    outcomes = [(False, True)] * 20 + [(True, False)] * 2 + [(False, False)] * 2 + [(True, True)] * 5
    before = [episode(task, success=first) for task, (first, _) in enumerate(outcomes)]
    after = [episode(task, success=second) for task, (_, second) in enumerate(outcomes)]
    greedy = [replace(each, member=1, success=None) for each in after]  # a second play of the task is not shown
    found = [(a.success, b.success) for a, b in pick_pairs(before, [*after, *greedy]) if a and b]
    assert found == [(False, True)] * 5 + [(True, False), (False, False), (True, True)]
    assert all(a and b and a.task_id == b.task_id for a, b in pick_pairs(before, reversed(after)))
    assert len(pick_pairs(before[:20], after[:20])) == 8
    assert len(pick_pairs(before[20:], after[20:])) == 8
    assert pick_pairs([], []) == []
