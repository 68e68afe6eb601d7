"""Tasks on a forum: read, reply, like, edit, and keep order as its moderator."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from agentrl.envs.browse.case import Case, Kind, changed
from agentrl.envs.browse.site import Rows, slug
from agentrl.envs.browse.sites.forum import ME, Forum, made
from agentrl.envs.browse.view import Script, View, answered, click, goto, select, type_in
from agentrl.envs.browse.words import Draw

__all__ = ["KINDS", "find_thread", "turn_page"]

Steps = Generator[str, View, View]


def find_thread(view: View, title: str) -> Steps:
    """Search for a thread and open it."""
    view = yield type_in(view.ref("searchbox", "Search"), title, submit=True)
    return (yield click(view.ref("link", title)))


def turn_page(view: View, number: int) -> Steps:
    """Turn to a page of a list."""
    return (yield click(view.ref("link", f"Page {number}")))


def _thread(draw: Draw, forum: Forum) -> tuple[str, dict[str, Any]]:
    return draw.pick(list(forum.rows["threads"].items()))


def _posts(forum: Forum, key: str) -> list[tuple[str, dict[str, Any]]]:
    return [each for each in forum.rows["posts"].items() if each[1]["thread"] == key]


def _sentence(draw: Draw) -> str:
    return f"{' '.join(draw.some('words', draw.whole(3, 6)))}.".capitalize()


def reply(draw: Draw) -> Case:
    """Reply to a thread with a given text."""
    forum = made(draw, threads=14)
    key, thread = _thread(draw, forum)
    text = _sentence(draw)

    def solve(view: View) -> Script:
        view = yield from find_thread(view, thread["title"])
        view = yield type_in(view.ref("textbox", "Your reply"), text)
        yield click(view.ref("button", "Post reply"))
        yield answered()

    row = {"thread": key, "author": ME, "text": text, "likes": 0}
    ask = draw.say('Reply to the thread {} with "{}"', 'Post this reply in the thread {}: "{}"')
    return Case(
        ask=ask.format(thread["title"], text), sites={"forum": forum}, start="forum", solve=solve,
        wanted=changed(forum, lambda rows: rows["posts"].update({"+1": row})),
    )  # fmt: skip


def like(draw: Draw) -> Case:
    """Like the post of somebody in a thread."""
    forum = made(draw, threads=12, posts=5)
    key, thread = _thread(draw, forum)
    post, row = draw.pick(_posts(forum, key))

    def solve(view: View) -> Script:
        view = yield from find_thread(view, thread["title"])
        yield click(view.ref("button", "Like", near=f'"Post of {row["author"]}"'))
        yield answered()

    def change(rows: Rows) -> None:
        rows["posts"][post]["likes"] += 1

    ask = draw.say("Like the post of {} in the thread {}.", "In {1}, like what {0} wrote.")
    return Case(
        ask=ask.format(row["author"], thread["title"]), sites={"forum": forum}, start="forum", solve=solve,
        wanted=changed(forum, change),
    )  # fmt: skip


def badge(draw: Draw) -> Case:
    """Say the badge of the member who began a thread."""
    forum = made(draw, threads=16)
    _, thread = _thread(draw, forum)
    member = forum.rows["members"][slug(thread["author"])]

    def solve(view: View) -> Script:
        view = yield type_in(view.ref("searchbox", "Search"), thread["title"], submit=True)
        author = next(cells[1] for cells in view.rows() if f'"{thread["title"]}"' in cells[0])
        view = yield click(view.ref("link", thread["title"]))
        view = yield click(view.ref("link", author))
        yield answered(view.after("Badge: "))

    ask = draw.say("Which badge has the author of the thread {}?", "Answer with the badge of who began the thread {}.")
    return Case(
        ask=ask.format(thread["title"]), sites={"forum": forum}, start="forum", solve=solve, answer=member["badge"]
    )


def move_threads(draw: Draw) -> Case:
    """Move all threads of a board by one author to another board."""
    while True:
        forum = made(draw, threads=26, members=6)
        source, target = draw.shuffled(forum.boards)[:2]
        author = draw.pick([each["name"] for each in forum.rows["members"].values()])
        keys = [key for key, row in forum.rows["threads"].items() if (row["board"], row["author"]) == (source, author)]
        if 1 < len(keys) < 5:
            break

    def solve(view: View) -> Script:
        titles: list[str] = []
        view = yield click(view.ref("link", source))
        number = 1
        while True:
            titles += [each.name for each in view.all("link") if f"| {author} |" in each.line]
            number += 1
            if not view.has("link", f"Page {number}"):
                break
            view = yield from turn_page(view, number)
        for title in titles:
            view = yield from find_thread(view, title)
            view = yield click(view.ref("button", "Moderate"))
            view = yield select(view.ref("combobox", "Board"), target)
            view = yield click(view.ref("button", "Move"))
        yield answered()

    def change(rows: Rows) -> None:
        for key in keys:
            rows["threads"][key]["board"] = target

    ask = draw.say(
        "Move the threads that {0} began in the board {1} to the board {2}.",
        "All threads of {0} in {1} belong into {2}: move them.",
    )
    return Case(
        ask=ask.format(author, source, target), sites={"forum": forum}, start="forum", solve=solve,
        wanted=changed(forum, change),
    )  # fmt: skip


def lock_threads(draw: Draw) -> Case:
    """Lock every thread of a board that has at least so many posts."""
    while True:
        forum = made(draw, threads=24, posts=7)
        board, least = draw.pick(forum.boards), draw.whole(5, 7)
        keys = [
            key
            for key, row in forum.rows["threads"].items()
            if row["board"] == board and len(_posts(forum, key)) >= least
        ]
        if 1 < len(keys) < 5:
            break

    def solve(view: View) -> Script:
        titles: list[str] = []
        view = yield click(view.ref("link", board))
        number = 1
        while True:
            titles += [each.name for each in view.all("link") if _cell(each.line, 2, -1) >= least]
            number += 1
            if not view.has("link", f"Page {number}"):
                break
            view = yield from turn_page(view, number)
        for title in titles:
            view = yield from find_thread(view, title)
            view = yield click(view.ref("button", "Moderate"))
            view = yield click(view.ref("button", "Lock"))
        yield answered()

    def change(rows: Rows) -> None:
        for key in keys:
            rows["threads"][key]["locked"] = True

    ask = draw.say(
        "Lock all threads of the board {} that have {} posts or more.",
        "In {}, every thread with at least {} posts is to be locked.",
    )
    return Case(
        ask=ask.format(board, least), sites={"forum": forum}, start="forum", solve=solve, wanted=changed(forum, change)
    )


def _cell(line: str, index: int, default: int) -> int:
    cells = line.split(" | ")
    return int(cells[index]) if len(cells) > index and cells[index].strip().isdigit() else default


def clean_thread(draw: Draw) -> Case:
    """Delete what somebody wrote in a thread, and ban that member."""
    while True:
        forum = made(draw, threads=18, posts=6)
        key, thread = _thread(draw, forum)
        posts = [each for each in _posts(forum, key) if each[1]["author"] != thread["author"]]
        if posts:
            break
    top = max(row["likes"] for _, row in posts)
    least = min(posts, key=lambda each: each[1]["likes"])
    if sum(row["likes"] == least[1]["likes"] for _, row in _posts(forum, key)) > 1:
        least[1]["likes"] = -(top + 1)
    post, row = min(_posts(forum, key), key=lambda each: each[1]["likes"])

    def solve(view: View) -> Script:
        view = yield from find_thread(view, thread["title"])
        likes = [(int(each.split()[0]), index) for index, each in enumerate(view.lines) if each.endswith(" likes")]
        _, index = min(likes)
        author = (
            next(each for each in reversed(view.lines[:index]) if "article" in each).split('"Post of ')[1].split('"')[0]
        )
        view = yield click(view.ref("button", "Delete", near=f'"Post of {author}"'))
        view = yield goto(f"forum/m/{slug(author)}")
        yield click(view.ref("button", "Ban"))
        yield answered()

    def change(rows: Rows) -> None:
        del rows["posts"][post]
        rows["members"][slug(row["author"])]["banned"] = True

    ask = draw.say(
        "In the thread {}, delete the post with the fewest likes and ban its author.",
        "The post of {} that has the fewest likes is spam: delete it and ban who wrote it.",
    )
    return Case(
        ask=ask.format(thread["title"]), sites={"forum": forum}, start="forum", solve=solve,
        wanted=changed(forum, change),
    )  # fmt: skip


def edit_post(draw: Draw) -> Case:
    """Change one word in a post."""
    forum = made(draw, threads=16, posts=5)
    key, thread = _thread(draw, forum)
    post, row = draw.pick(_posts(forum, key))
    old = draw.pick(row["text"].rstrip(".").split()[1:])
    new = draw.pick([each for each in draw.some("words", 30) if each not in row["text"]])

    def solve(view: View) -> Script:
        view = yield from find_thread(view, thread["title"])
        view = yield click(view.ref("link", "Edit", near=f'"Post of {row["author"]}"'))
        field = view.all("textbox", "Text")[0]
        view = yield type_in(field.ref, field.value.replace(old, new))
        yield click(view.ref("button", "Save"))
        yield answered()

    def change(rows: Rows) -> None:
        rows["posts"][post]["text"] = row["text"].replace(old, new)

    ask = draw.say(
        'In the post of {} in the thread {}, replace "{}" by "{}".',
        'Edit what {} wrote in {}: "{}" should be "{}".',
    )
    return Case(
        ask=ask.format(row["author"], thread["title"], old, new), sites={"forum": forum}, start="forum", solve=solve,
        wanted=changed(forum, change),
    )  # fmt: skip


def ban_reported(draw: Draw) -> Case:
    """Ban every member with many reports who joined after a day, over several pages, and pin a thread."""
    while True:
        forum = made(draw, threads=16, members=30)
        least, day = draw.whole(6, 8), draw.day().isoformat()
        keys = [key for key, row in forum.rows["members"].items() if row["reports"] >= least and row["joined"] > day]
        if 2 < len(keys) < 7:
            break
    pinned, thread = _thread(draw, forum)

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", "Members"))
        found: list[str] = []
        number = 1
        while True:
            for item in view.all("link"):
                cells = item.line.split(" | ")
                if len(cells) == 4 and int(cells[2]) >= least and cells[1] > day:
                    found.append(item.name)
            number += 1
            if not view.has("link", f"Page {number}"):
                break
            view = yield from turn_page(view, number)
        for name in found:
            view = yield goto(f"forum/m/{slug(name)}")
            view = yield click(view.ref("button", "Ban"))
        view = yield from find_thread(view, thread["title"])
        view = yield click(view.ref("button", "Moderate"))
        yield click(view.ref("button", "Pin"))
        yield answered()

    def change(rows: Rows) -> None:
        for key in keys:
            rows["members"][key]["banned"] = True
        rows["threads"][pinned]["pinned"] = True

    ask = draw.say(
        "Ban all members with {} reports or more who joined after {}, then pin the thread {}.",
        "Who joined later than {1} and has at least {0} reports is to be banned; pin the thread {2} too.",
    )
    return Case(
        ask=ask.format(least, day, thread["title"]), sites={"forum": forum}, start="forum", solve=solve,
        wanted=changed(forum, change),
    )  # fmt: skip


KINDS = (
    Kind(name="reply-to-thread", levels=(3,), make=reply),
    Kind(name="like-post", levels=(3,), make=like),
    Kind(name="author-badge", levels=(3,), make=badge),
    Kind(name="move-threads", levels=(4,), make=move_threads),
    Kind(name="lock-threads", levels=(4,), make=lock_threads),
    Kind(name="clean-thread", levels=(4,), make=clean_thread),
    Kind(name="edit-post", levels=(4,), make=edit_post),
    Kind(name="ban-reported", levels=(5,), make=ban_reported),
)
"""Every kind of this file."""
