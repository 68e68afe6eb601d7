"""From who won against whom to a score of each: mean wins, or strengths; and who meets whom, in which order.

Every function is pure. Tables of wins are square, of shape (works, works), in [0, 1], and NaN where two never met.
"""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np

__all__ = ["bradley_terry", "orders_of", "pairs_of", "win_rates"]

_PRIOR = 0.1  # wins and losses against an opponent of strength 0


def win_rates(wins: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Return what each work won on average against all other episodes, copies of itself included as ties.

    Args:
        wins: Square; what each won against each other, in [0, 1]; NaN where they never met.
        copies: How many episodes did each work.

    >>> wins = np.array([[np.nan, 1.0], [0.0, np.nan]])
    >>> win_rates(wins, np.array([1.0, 3.0])).round(3).tolist()
    [1.0, 0.333]
    """
    met = ~np.isnan(wins)
    np.fill_diagonal(met, False)
    won = np.where(met, np.nan_to_num(wins), 0.0) @ copies + (copies - 1) / 2
    rates: np.ndarray = won / (met @ copies + copies - 1)
    return rates


def bradley_terry(wins: np.ndarray) -> np.ndarray:
    """Return what each work would win against each other, by the strengths that explain the wins best.

    The model is that of Bradley and Terry (1952). A little of a tie with an opponent of strength 0 is added, which
    keeps who won all finite.

    Args:
        wins: As in `win_rates`.

    >>> wins = np.array([[np.nan, 1.0, np.nan], [0.0, np.nan, 1.0], [np.nan, 0.0, np.nan]])
    >>> bool(bradley_terry(wins)[0, 2] > 0.5)  # they never met, but the first beat who beat the third
    True
    """
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    met = ~np.isnan(wins)
    np.fill_diagonal(met, False)
    won = np.where(met, np.nan_to_num(wins), 0.0)

    def loss(strength: np.ndarray) -> tuple[float, np.ndarray]:
        gap = strength[:, None] - strength[None, :]
        slack = _PRIOR * (log_expit(strength) + log_expit(-strength)).sum()
        gradient = (won - (won + won.T) * expit(gap)).sum(axis=1) + _PRIOR * (1 - 2 * expit(strength))
        return -float((won * log_expit(gap)).sum() + slack), -gradient

    strength = minimize(loss, np.zeros(len(wins)), jac=True, method="L-BFGS-B").x
    chances: np.ndarray = expit(strength[:, None] - strength[None, :])
    return chances


def pairs_of(num: int, num_opponents: int) -> list[tuple[int, int]]:
    """Return who meets whom: all, or each its neighbours in a ring, so that everybody has as many opponents.

    Args:
        num: How many there are.
        num_opponents: An even number of each one's opponents; 0, or as many as there are others: all.

    >>> pairs_of(4, 2)
    [(0, 1), (1, 2), (2, 3), (3, 0)]
    """
    if not 0 < num_opponents < num - 1:
        return list(combinations(range(num), 2))
    steps = range(1, num_opponents // 2 + 1)
    return [(index, (index + step) % num) for step in steps for index in range(num)]


def orders_of(num: int, num_orders: int, seed: str) -> list[list[int]]:
    """Return orders of so many things, each followed by its reverse.

    Args:
        num: How many things there are.
        num_orders: An even number.
        seed: Decides the orders.
    """
    chance = random.Random(seed)
    orders: list[list[int]] = []
    while len(orders) < num_orders:
        order = list(range(num))
        chance.shuffle(order)
        orders += [order, order[::-1]]
    return orders
