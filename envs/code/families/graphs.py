"""Families on graphs: reachability, cheapest ways, orders and components.

Nodes are 0 to n-1 and edges are lists of tuples. Where several ways are best, the count or the cost is asked for.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]


def _edges(rng: random.Random, n: int, m: int) -> list[tuple[int, int]]:
    return [(rng.randrange(n), rng.randrange(n)) for _ in range(m)]


def _plain(rng: random.Random, params: Params) -> tuple[Any, ...]:
    n = rng.randint(3, 8)
    return n, _edges(rng, n, rng.randint(n // 2, 2 * n))


def _weighted(rng: random.Random, params: Params) -> tuple[Any, ...]:
    n = rng.randint(3, 7)
    return n, [(a, b, rng.randint(1, 20)) for a, b in _edges(rng, n, rng.randint(n, 3 * n))]


def _draw_order(rng: random.Random, level: int) -> dict[str, Any]:
    modulus = rng.choice([11, 13, 17, 19, 23, 29, 31, 37])
    return {"factor": rng.randint(2, modulus - 2), "modulus": modulus}


_TOLL = """import heapq
def cheapest(n, edges):
    best = {0: 0}
    heap = [(0, 0)]
    while heap:
        cost, node = heapq.heappop(heap)
        if cost > best[node]:
            continue
        for a, b, w in edges:
            if a == node:
                new = cost + w + ($toll if w > $limit else 0)
                if new < best.get(b, new + 1):
                    best[b] = new
                    heapq.heappush(heap, (new, b))
    return best.get(n - 1, -1)
"""
_REACH = """def reachable(n, edges):
    seen, todo = {0}, [(0, 0)]
    for node, depth in todo:
        if depth == $hops:
            continue
        for a, b in edges:
            if a == node and b not in seen:
                seen.add(b)
                todo.append((b, depth + 1))
    return sum(v * $factor + $add for v in seen)
"""
_COMP = """def components(n, edges):
    parent = list(range(n))
    def find(v):
        while parent[v] != v:
            v = parent[v]
        return v
    for a, b in edges:
        parent[find(a)] = find(b)
    sizes = {}
    for v in range(n):
        sizes[find(v)] = sizes.get(find(v), 0) + 1
    return sum($bonus + size * size if size >= $least else $small for size in sizes.values())
"""
_WALKS = """def walks(n, edges):
    counts = [0] * n
    counts[0] = 1
    for _ in range($steps):
        new = [0] * n
        for a, b in edges:
            new[b] += counts[a]
        counts = new
    return counts[n - 1] % $modulus
"""
_ORDER = """def order(n, edges):
    rest, out = set(range(n)), []
    while rest:
        free = [v for v in rest if all(a not in rest for a, b in edges if b == v)]
        if not free:
            return []
        pick = min(free, key=lambda v: (v * $factor % $modulus, v))
        rest.remove(pick)
        out.append(pick)
    return out
"""
_TREE = """def network(n, edges):
    parent = list(range(n))
    def find(v):
        while parent[v] != v:
            v = parent[v]
        return v
    total, parts = 0, n
    for w, a, b in sorted((w, a, b) for a, b, w in edges):
        if w < $station and find(a) != find(b):
            parent[find(a)] = find(b)
            total += w
            parts -= 1
    return total + parts * $station + $fixed
"""


FAMILIES: tuple[Family, ...] = (
    Family(
        name="graph-toll-route",
        topic="graphs",
        levels=(4, 5),
        draw=lambda rng, level: {"toll": rng.randint(5, 20 + 5 * (level - 3)), "limit": rng.randint(3, 12)},
        signature="cheapest(n: int, edges: list[tuple[int, int, int]]) -> int",
        statement="Nodes are 0 to n-1 (n is at least 1). Each edge (a, b, w) leads one way from a to b and "
        "costs w, plus a "
        "toll of $toll if w is greater than $limit. Return the least cost of a way from node 0 to node n-1; 0 "
        "if n is 1, "
        "and -1 if there is no way. Parallel edges and loops may occur.",
        reference=_TOLL,
        second="""def cheapest(n, edges):
    best = [None] * n
    best[0] = 0
    for _ in range(n):
        for a, b, w in edges:
            if best[a] is not None:
                new = best[a] + w + (w > $limit) * $toll
                if best[b] is None or new < best[b]:
                    best[b] = new
    return -1 if best[n - 1] is None else best[n - 1]
""",
        wrong=(_TOLL.replace("w + ($toll if w > $limit else 0)", "w"), _TOLL.replace("w > $limit", "w >= $limit")),
        inputs=_weighted,
        edges=lambda p: [(1, []), (2, []), (2, [(1, 0, 3)]), (2, [(0, 1, p["limit"])]), (2, [(0, 1, p["limit"] + 1)])],
    ),
    Family(
        name="graph-few-hops",
        topic="graphs",
        levels=(3, 4),
        draw=lambda rng, level: {"hops": rng.randint(1, level), "factor": rng.randint(2, 9), "add": rng.randint(1, 9)},
        signature="reachable(n: int, edges: list[tuple[int, int]]) -> int",
        statement="Nodes are 0 to n-1 (n is at least 1); each edge (a, b) leads one way from a to b. Take every "
        "node v that "
        "can be reached from node 0 over at most $hops edges, node 0 included, each once. Return the sum of "
        "v * $factor + $add over these nodes. Parallel edges and loops may occur.",
        reference=_REACH,
        second="""def reachable(n, edges):
    seen = {0}
    for _ in range($hops):
        seen = seen | {b for a, b in edges if a in seen}
    return $factor * sum(seen) + $add * len(seen)
""",
        wrong=(
            _REACH.replace("if a == node and b not in seen", "if a == node and depth < $hops - 1 and b not in seen"),
        ),
        inputs=_plain,
        edges=lambda p: [(1, []), (1, [(0, 0)]), (6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]), (2, [(1, 0)])],
    ),
    Family(
        name="graph-component-score",
        topic="graphs",
        levels=(3, 4),
        draw=lambda rng, level: {
            "bonus": rng.randint(2, 20),
            "least": rng.randint(2, level),
            "small": rng.randint(1, 9),
        },
        signature="components(n: int, edges: list[tuple[int, int]]) -> int",
        statement="Nodes are 0 to n-1 (n may be 0); each edge (a, b) joins a and b both ways. A connected "
        "component with s "
        "nodes scores $bonus + s * s if s is at least $least, otherwise it scores $small whatever its size. Return "
        "the sum of the scores; 0 if there are no nodes. Parallel edges and loops may occur.",
        reference=_COMP,
        second="""def components(n, edges):
    label = list(range(n))
    for _ in range(n):
        for a, b in edges:
            label[a] = label[b] = min(label[a], label[b])
    total = 0
    for name in set(label):
        size = label.count(name)
        total += size ** 2 + $bonus if size >= $least else $small
    return total
""",
        wrong=(
            _COMP.replace("size >= $least", "size > $least"),
            _COMP.replace("parent[find(a)] = find(b)", "parent[max(a, b)] = min(a, b)"),
        ),
        inputs=_plain,
        edges=lambda p: (
            [
                (0, []),
                (3, []),
                (1, [(0, 0)]),
                (p["least"], [(i, i + 1) for i in range(p["least"] - 1)]),
                (4, [(0, 3), (1, 3), (2, 3)]),
            ]
        ),
    ),
    Family(
        name="graph-count-walks",
        topic="graphs",
        levels=(4, 5),
        draw=lambda rng, level: {"steps": rng.randint(level - 1, level + 1), "modulus": rng.randint(11, 97)},
        signature="walks(n: int, edges: list[tuple[int, int]]) -> int",
        statement="Nodes are 0 to n-1 (n is at least 1); each edge (a, b) leads one way from a to b. Parallel "
        "edges count as "
        "different, loops are allowed, and nodes and edges may be used again. Return how many walks of exactly $steps "
        "edges lead from node 0 to node n-1, modulo $modulus.",
        reference=_WALKS,
        second="""def walks(n, edges):
    def count(node, left):
        if left == 0:
            return int(node == n - 1)
        return sum(count(b, left - 1) for a, b in edges if a == node)
    return count(0, $steps) % $modulus
""",
        wrong=(_WALKS.replace("in edges", "in set(edges)"), _WALKS.replace(" % $modulus", "")),
        inputs=lambda rng, p: (n := rng.randint(2, 4), _edges(rng, n, rng.randint(n, 2 * n))),
        edges=lambda p: [(1, []), (1, [(0, 0)]), (1, [(0, 0)] * 3), (2, [(0, 1), (0, 0), (0, 1)]), (1, [(0, 0)] * 5)],
    ),
    Family(
        name="graph-ranked-order",
        topic="graphs",
        levels=(4, 5),
        draw=_draw_order,
        signature="order(n: int, edges: list[tuple[int, int]]) -> list[int]",
        statement="Jobs are 0 to n-1 (n may be 0); an edge (a, b) says that a must come before b. Jobs are done "
        "one at a "
        "time: of all jobs not done whose earlier jobs are all done, always take the one v with the smallest "
        "v * $factor % $modulus, and of equal ones the smallest v. Return the jobs in the order in which they "
        "are done, "
        "or an empty list if not all jobs can be done. An edge (a, a) makes a impossible; edges may repeat.",
        reference=_ORDER,
        second="""import heapq
def order(n, edges):
    waits = [0] * n
    for a, b in edges:
        waits[b] += 1
    heap = [(v * $factor % $modulus, v) for v in range(n) if not waits[v]]
    heapq.heapify(heap)
    out = []
    while heap:
        v = heapq.heappop(heap)[1]
        out.append(v)
        for a, b in edges:
            if a == v:
                waits[b] -= 1
                if not waits[b]:
                    heapq.heappush(heap, (b * $factor % $modulus, b))
    return out if len(out) == n else []
""",
        wrong=(_ORDER.replace("(v * $factor % $modulus, v)", "v"), _ORDER.replace("return []", "return out")),
        inputs=lambda rng, p: (
            n := rng.randint(4, 14),
            [(min(a, b), max(a, b)) for a, b in _edges(rng, n, n // 2) if a != b or rng.random() < 0.3],
        ),
        edges=lambda p: [(0, []), (24, []), (1, [(0, 0)]), (3, [(0, 1), (1, 0)]), (3, [(2, 0), (2, 0)])],
    ),
    Family(
        name="graph-stations-or-cables",
        topic="graphs",
        levels=(5,),
        draw=lambda rng, level: {"station": rng.randint(6, 16), "fixed": rng.randint(1, 30)},
        signature="network(n: int, edges: list[tuple[int, int, int]]) -> int",
        statement="There are n towns, 0 to n-1 (n may be 0). A cable (a, b, w) may be laid between a and b for "
        "w. A station may "
        "be built in any town for $station. Every town must have a station or be joined by laid cables, perhaps over "
        "other towns, to one that has. Return the least total cost, plus a fixed fee of $fixed that is always "
        "paid, also if "
        "n is 0. Parallel cables and loops may be offered.",
        reference=_TREE,
        second="""def network(n, edges):
    joined, total = set(), $fixed
    while len(joined) < n:
        offers = [($station, v) for v in range(n) if v not in joined]
        for a, b, w in edges:
            for x, y in ((a, b), (b, a)):
                if x in joined and y not in joined:
                    offers.append((w, y))
        cost, town = min(offers)
        joined.add(town)
        total += cost
    return total
""",
        wrong=(_TREE.replace("w < $station and ", ""), _TREE.replace("parts * $station", "(parts > 0) * $station")),
        inputs=_weighted,
        edges=lambda p: [(0, []), (1, []), (3, []), (2, [(0, 1, p["station"] + 1)]), (2, [(0, 1, 1), (1, 0, 2)])],
    ),
)
