"""Families on graphs: degrees, distances, two sides, and a cheapest way with coupons.

Nodes are 0 to n-1 and edges are lists of tuples, as in the other graph families.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]


def _edges(rng: random.Random, n: int, m: int) -> list[tuple[int, int]]:
    return [(rng.randrange(n), rng.randrange(n)) for _ in range(m)]


def _plain(rng: random.Random, params: Params) -> tuple[Any, ...]:
    n = rng.randint(2, 9)
    return n, _edges(rng, n, rng.randint(0, 2 * n))


def _sparse(rng: random.Random, params: Params) -> tuple[Any, ...]:
    n = rng.randint(2, 9)
    return n, [(a, b) for a, b in _edges(rng, n, rng.randint(n // 2, n)) if a != b or rng.random() < 0.1]


def _weighted(rng: random.Random, params: Params) -> tuple[Any, ...]:
    n = rng.randint(3, 7)
    return n, [(a, b, rng.randint(1, 60)) for a, b in _edges(rng, n, rng.randint(n, 3 * n))]


_DEGREE = """def score(n, edges):
    degree = [0] * n
    for a, b in edges:
        degree[a] += 1
        degree[b] += 1
    return sum($factor * d if d >= $least else $low for d in degree)
"""
_DISTANCE = """def spread(n, edges):
    distance = {0: 0}
    queue = [0]
    for node in queue:
        for a, b in edges:
            for x, y in ((a, b), (b, a)):
                if x == node and y not in distance:
                    distance[y] = distance[x] + 1
                    queue.append(y)
    return sum($step * distance[v] + $base if v in distance else $far for v in range(n))
"""
_SIDES = """def sides(n, edges):
    side, total = {}, 0
    for start in range(n):
        if start in side:
            continue
        side[start] = 0
        queue, good = [start], True
        for node in queue:
            for a, b in edges:
                for x, y in ((a, b), (b, a)):
                    if x != node:
                        continue
                    if y not in side:
                        side[y] = 1 - side[x]
                        queue.append(y)
                    elif side[y] == side[x]:
                        good = False
        ones = sum(side[v] for v in queue)
        small, large = sorted((ones, len(queue) - ones))
        total += $large * large + $small * small if good else $bad * len(queue)
    return total
"""
_COUPONS = """import heapq


def cheapest(n, edges):
    best = {(0, 0): 0}
    heap = [(0, 0, 0)]
    while heap:
        cost, node, used = heapq.heappop(heap)
        if node == n - 1:
            return cost
        if cost > best[node, used]:
            continue
        for a, b, w in edges:
            if a != node:
                continue
            for price, now in ((w, used), (w // $share, used + 1)):
                new = cost + price + $fee
                if now <= $coupons and new < best.get((b, now), new + 1):
                    best[b, now] = new
                    heapq.heappush(heap, (new, b, now))
    return -1
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="graph-degree-score",
        topic="graphs",
        levels=(2,),
        draw=lambda rng, level: {
            "factor": rng.randint(2, 12),
            "least": rng.randint(2, 4),
            "low": rng.choice([-5, -3, -2, -1, 1, 15]),
        },
        signature="score(n: int, edges: list[tuple[int, int]]) -> int",
        statement="Nodes are 0 to n-1 (n may be 0); each edge (a, b) joins a and b. The degree of a node is the number "
        "of ends of edges at it: an edge that occurs several times counts each time, and a loop (a, a) counts "
        "twice. A node scores $factor times its degree if that is at least $least, otherwise it scores $low. Return "
        "the sum of the scores of all nodes.",
        reference=_DEGREE,
        second="""def score(n, edges):
    ends = [node for edge in edges for node in edge]
    counts = [ends.count(node) for node in range(n)]
    high = [count for count in counts if not count < $least]
    return $factor * sum(high) + ($low) * (n - len(high))
""",
        wrong=(
            _DEGREE.replace("d >= $least", "d > $least"),
            _DEGREE.replace("        degree[b] += 1", "        degree[b] += a != b"),
            _DEGREE.replace("in edges", "in set(edges)"),
        ),
        inputs=lambda rng, p: (n := rng.randint(1, 6), _edges(rng, n, rng.randint(n, 3 * n))),
        edges=lambda p: [(0, []), (3, []), (1, [(0, 0)]), (1, [(0, 0), (0, 0)]), (2, [(0, 1)] * p["least"])],
    ),
    Family(
        name="graph-distance-sum",
        topic="graphs",
        levels=(3,),
        draw=lambda rng, level: {"step": rng.randint(2, 9), "base": rng.randint(0, 9), "far": rng.randint(30, 90)},
        signature="spread(n: int, edges: list[tuple[int, int]]) -> int",
        statement="Nodes are 0 to n-1 (n is at least 1); each edge (a, b) joins a and b both ways. The distance of a "
        "node is the least number of edges on a way from node 0 to it; that of node 0 is 0. A node at distance d "
        "counts $step * d + $base, and a node that cannot be reached counts $far. Return the sum over all nodes.",
        reference=_DISTANCE,
        second="""def spread(n, edges):
    distance = [0] + [n + 1] * (n - 1)
    for _ in range(n):
        for a, b in edges:
            distance[a] = min(distance[a], distance[b] + 1)
            distance[b] = min(distance[b], distance[a] + 1)
    return sum($far if d > n else $step * d + $base for d in distance)
""",
        wrong=(
            _DISTANCE.replace("((a, b), (b, a))", "((a, b),)"),
            _DISTANCE.replace(" if v in distance else $far for v in range(n)", " for v in distance"),
            _DISTANCE.replace("for node in queue:", "while queue:\n        node = queue.pop()"),
        ),
        inputs=_plain,
        edges=lambda p: [
            (1, []),
            (2, []),
            (3, [(2, 1), (1, 0)]),
            (5, [(0, 1), (1, 2), (2, 3), (3, 0), (3, 4)]),
            (7, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (0, 4)]),
            (7, [(0, 4), (0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)]),
        ],
    ),
    Family(
        name="graph-two-sides",
        topic="graphs",
        levels=(4, 5),
        draw=lambda rng, level: {
            "large": rng.randint(5, 9),
            "small": rng.choice([1, 2, 3, 4, 10, 11]),
            "bad": rng.randint(12, 20),
        },
        signature="sides(n: int, edges: list[tuple[int, int]]) -> int",
        statement="Nodes are 0 to n-1 (n may be 0); each edge (a, b) joins a and b both ways; edges may repeat and "
        "loops may occur. Look at every connected component on its own. If its nodes can be put on two sides so that "
        "every edge leads from one side to the other, it scores $large for each node on the side with more nodes "
        "and $small for each on the other (on sides of the same size, $large for each of one side and $small for "
        "each of the other; a single node without a loop has one side with one node). If they cannot, it "
        "scores $bad for each of its nodes. Return the sum of the scores.",
        reference=_SIDES,
        second="""def sides(n, edges):
    total, left = 0, set(range(n))
    while left:
        reach = {(min(left), 0)}
        for _ in range(2 * n):
            more = set(reach)
            for a, b in edges:
                more |= {(b, 1 - s) for v, s in reach if v == a} | {(a, 1 - s) for v, s in reach if v == b}
            reach = more
        nodes = {v for v, _ in reach}
        if len(reach) > len(nodes):
            total += $bad * len(nodes)
        else:
            here = sum(s for _, s in reach)
            there = len(nodes) - here
            total += $large * max(here, there) + $small * min(here, there)
        left -= nodes
    return total
""",
        wrong=(
            _SIDES.replace(
                "small, large = sorted((ones, len(queue) - ones))", "small = ones\n        large = len(queue) - ones"
            ),
            _SIDES.replace("$bad * len(queue)", "$bad"),
            _SIDES.replace("good = False", "good = a == b"),
        ),
        inputs=_sparse,
        edges=lambda p: [
            (0, []),
            (1, [(0, 0)]),
            (3, []),
            (4, [(0, 1), (0, 2), (0, 3)]),
            (3, [(0, 1), (1, 2), (2, 0)]),
            (5, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]),
        ],
    ),
    Family(
        name="graph-coupon-route",
        topic="graphs",
        levels=(5,),
        draw=lambda rng, level: {"coupons": rng.randint(1, 3), "share": rng.randint(2, 6), "fee": rng.randint(0, 12)},
        signature="cheapest(n: int, edges: list[tuple[int, int, int]]) -> int",
        statement="Nodes are 0 to n-1 (n is at least 1). Each edge (a, b, w) leads one way from a to b and costs w "
        "plus a fee of $fee. There are $coupons coupons: one coupon may be used on one edge and makes that edge cost "
        "w // $share (rounded down) plus the fee of $fee. Return the least cost of a way from node 0 to node n-1 with "
        "at most $coupons coupons used; 0 if n is 1, and -1 if there is no way. Parallel edges and loops may occur.",
        reference=_COUPONS,
        second="""def cheapest(n, edges):
    far = 10**9
    rows = []
    for used in range($coupons + 1):
        best = [far] * n
        best[0] = 0
        for _ in range(n):
            for a, b, w in edges:
                best[b] = min(best[b], best[a] + w + $fee)
                if used:
                    best[b] = min(best[b], rows[-1][a] + w // $share + $fee)
        rows.append(best)
    return rows[-1][n - 1] if rows[-1][n - 1] < far else -1
""",
        wrong=(
            _COUPONS.replace("now <= $coupons", "now < $coupons"),
            """def cheapest(n, edges):
    far = 10**9
    best = [(far, ())] * n
    best[0] = (0, ())
    for _ in range(n):
        for a, b, w in edges:
            if best[a][0] < far:
                best[b] = min(best[b], (best[a][0] + w + $fee, (*best[a][1], w)))
    cost, way = best[n - 1]
    saved = sorted((w - w // $share for w in way), reverse=True)[:$coupons]
    return cost - sum(saved) if cost < far else -1
""",
        ),
        inputs=_weighted,
        edges=lambda p: [
            (1, []),
            (2, []),
            (2, [(1, 0, 3)]),
            (5, [(0, 1, 9), (1, 2, 9), (2, 3, 9), (3, 4, 9)]),
            (4, [(0, 3, 200), (0, 1, 40), (1, 2, 40), (2, 3, 40)]),
            (6, [(0, 5, 500), (0, 1, 90), (1, 2, 90), (2, 3, 90), (3, 4, 90), (4, 5, 90)]),
        ],
    ),
)
