"""Levels 4 and 5: a small web service that does not start or does not answer; it is tried in a fresh box."""

from __future__ import annotations

import json

from agentrl.envs.shell.family import Case, Goal, Then, family
from agentrl.envs.shell.remains import Remains
from agentrl.envs.shell.trial import Trial
from agentrl.envs.shell.words import Draw, text

__all__ = ["FAMILIES"]

_SERVER = """import http.server
import json
import os
import sys

with open(os.environ.get("CONFIG", "config.json")) as file:
    config = json.load(file)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        if name == "health":
            body, status = b"ok", 200
        else:
            path = os.path.join(config["root"], os.path.basename(name))
            try:
                with open(path, "rb") as file:
                    body, status = file.read(), 200
            except OSError:
                body, status = b"missing", 404
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *values):
        with open(config["log"], "a") as file:
            file.write(form % values + "\\n")


with open(config["log"], "a") as file:
    file.write("started\\n")
http.server.HTTPServer(("127.0.0.1", int(config["port"])), Handler).serve_forever()
"""
_START = '#!/bin/sh\ncd "$(dirname "$0")"\nCONFIG=config.json exec python3 server.py\n'
# Waits until there is an answer: a Python that starts takes long on a busy machine. Isolated, since the service may
# write modules beside it.
_ASK = """python3 -I - {urls} <<'END'
import json, os, sys, time, urllib.error, urllib.request
until, said = time.monotonic() + 6, []
for url in sys.argv[1:]:
    while True:
        try:
            said.append(urllib.request.urlopen(url, timeout=5).read().decode("utf-8", "replace").strip())
        except urllib.error.HTTPError as error:
            said.append(str(error.code))
        except OSError:
            if time.monotonic() < until and not os.path.exists("/tmp/.ended"):
                time.sleep(0.1)
                continue
            said.append("nothing")
            until = 0
        break
print(json.dumps(said))
END"""


def _ask(asked: list[tuple[int, str, str]]) -> str:
    return _ASK.format(urls=" ".join(f"http://127.0.0.1:{port}/{path}" for port, path, _ in asked))


def answers(
    top: str, start: str, asked: list[tuple[int, str, str]], more: dict[str, bytes], folders: list[str]
) -> Then:
    """Return a judge that starts an agent's service in a fresh box and compares what it answers.

    Args:
        top: Folder whose regular files are copied.
        start: Command that starts it.
        asked: Each a port, a path and the answer.
        more: Files that the agent never saw.
        folders: Folders that there must be as well, where the agent made them.
    """

    def then(remains: Remains, trial: Trial) -> bool:
        files, tree = remains.files(top), remains.tree(top)
        if files is None or tree is None:
            return False
        made = [path for path in folders if path in tree and tree[path].kind == "folder"]
        # The service runs as another user of the same group.
        first = f"cd {top}; mkdir -p . {' '.join(made)}; chmod -R g+rwX ."
        copied = {f"{top}/{path}": content for path, content in files.items()} | more
        (result,) = trial.run(copied, [_ask(asked)], first=first, service=f"{start}; : > /tmp/.ended", timeout_s=30.0)
        try:
            said = json.loads(result.stdout)
        except (ValueError, RecursionError):
            return False
        return bool(result.ok and said == [answer for _, _, answer in asked])

    return then


def _case(draw: Draw, fault: str) -> Case:
    top, root, port = draw.folder(), draw.folder(), draw.whole(2000, 9000)
    page, content = draw.stem(), " ".join(draw.words(4))
    config: dict[str, object] = {"port": port, "root": root, "log": "logs/server.log"}
    good = json.dumps(config, indent=2) + "\n"
    files = {"config.json": good, "server.py": _SERVER, "start.sh": _START, f"{root}/{page}": f"{content}\n"}
    wrong_port = port + draw.whole(1, 99)
    fix, logs = "", "logs/.keep"
    if fault == "port":
        files["config.json"] = good.replace(str(port), str(wrong_port))
        fix = f"sed -i 's/{wrong_port}/{port}/' config.json"
    elif fault == "json":
        files["config.json"] = good.replace(f"{port},", f"{port}")
        fix = f"sed -i 's/{port}$/{port},/' config.json"
    elif fault == "root":
        files["config.json"] = good.replace(f'"{root}"', f'"{root}s"')
        fix = f"sed -i 's/{root}s/{root}/' config.json"
    elif fault == "variable":
        files["start.sh"] = _START.replace("CONFIG=config.json", "CONFIG=conf.json")
        fix = "sed -i 's/=conf.json/=config.json/' start.sh"
    elif fault == "line-ends":
        files["start.sh"] = _START.replace("\n", "\r\n")
        fix = "sed -i 's/\\r$//' start.sh"
    elif fault == "log":
        logs = ""
        fix = "mkdir logs"
    else:
        files["server.py"] = _SERVER.replace("file.read(), 200", "file.read(), 500")
        fix = "sed -i 's/file.read(), 500/file.read(), 200/' server.py"
    files |= {logs: ""} if logs else {}
    hidden, secret = f"{top}/{root}/{draw.stem()}", " ".join(draw.words(3))
    asked = [
        (port, "health", "ok"),
        (port, page, content),
        (port, hidden.rpartition("/")[2], secret),
        (port, "no", "404"),
    ]
    here = f"sh start.sh & {_ask([(port, page, '')])}"
    return Case(
        params={"top": top, "port": port, "page": page},
        files={f"{top}/{name}": each.encode() for name, each in files.items()},
        goal=Goal(
            free=(f"{top}/config.json", f"{top}/server.py", f"{top}/start.sh", f"{top}/logs/"),
            then=answers(top, f"sh {top}/start.sh", asked, {hidden: text([secret])}, ["logs"]),
        ),
        oracle=(f"cd {top}; cat config.json start.sh; ls", fix, here),
        wrong=(
            f"cd {top}; echo 'echo ok' > start.sh",
            f"cd {top}; printf 'python3 -m http.server {wrong_port}\\n' > start.sh",
            f"cd {top}; mkdir -p www; echo ok > www/health; echo '{content}' > www/{page}; "
            f'echo \'cd "$(dirname "$0")"/www; exec python3 -m http.server --bind 127.0.0.1 {port}\' > start.sh',
        ),
    )


_TRAIN = (
    "The web service in $top does not work. When started with `sh $top/start.sh`, it should answer /health and serve "
    "its pages, such as /$page, at port $port of 127.0.0.1. Mend it.",
    "Mend the service in $top: `sh $top/start.sh` must serve /health and pages such as /$page at 127.0.0.1:$port.",
)
_TEST = (
    "After `sh $top/start.sh` nothing useful is at 127.0.0.1:$port. There should be /health and, from the same files "
    "as ever, pages such as /$page. Find out why and put it right.",
)


@family("service-settings", 4, 5, train=_TRAIN, test=_TEST)
def settings(draw: Draw) -> Case:
    return _case(draw, draw.pick(["port", "json", "root"]))


@family("service-start", 4, 5, train=_TRAIN, test=_TEST)
def start(draw: Draw) -> Case:
    return _case(draw, draw.pick(["variable", "line-ends"]))


@family("service-folder", 5, train=_TRAIN, test=_TEST)
def folder(draw: Draw) -> Case:
    return _case(draw, "log")


@family("service-code", 5, train=_TRAIN, test=_TEST)
def code(draw: Draw) -> Case:
    return _case(draw, "status")


FAMILIES = (settings, start, folder, code)
