"""Fit the weights of components to labels: a relaxed lasso whose strengths are chosen by grouped cross-validation.

The lasso (Tibshirani 1996) chooses the components, since its penalty sets weights to exactly 0. Those that stay are
fitted again with a ridge penalty only, since the lasso's would pull them to 0 too (relaxed lasso, Meinshausen 2007).
Preferences are Bradley-Terry's model (1952): the logistic of a weighted difference, a tie as half a win for each.
Classes are a logistic regression, numbers a linear one, both with an intercept. scikit-learn fits all of them.

Both strengths are chosen by the loss on held-out groups: of all that are not worse than the best by more than half a
standard error of that difference, the one with the fewest components. Breiman et al. (1984, section 3.4.3) take a whole
one; of 500 preferences, one in nine of them wrong, that lost a component of 8 % of the weight in 2 of 25 draws, half a
one in none, and useless components were kept in 16 to 24 % of draws with a whole one, in 24 to 36 % with half a one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.tuning.examples import Examples, Floats, Ints, Kind

__all__ = ["NUM_FOLDS", "Fitted", "fit", "folds_of"]

NUM_FOLDS = 5

_SHARES = tuple(float(each) for each in np.geomspace(0.7, 1e-3, 6))  # of the lasso strength that leaves no component
_SLACK = 0.5  # standard errors by which a smaller set of components may be worse
_RIDGES = (1e-6, 1e-2, 1e-1)  # per label, on columns of standard deviation 1


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """Weights that explain labels."""

    weights: Floats  # [C], in the scale of the model; 0: left out
    lasso: float  # the strength that chose the components, as a share of the one that leaves none
    ridge: float  # the strength with which those that stayed were fitted, per label
    loss: float  # on held-out groups, per label


def fit(examples: Examples, groups: Ints, rng: np.random.Generator) -> Fitted:
    """Fit weights, with strengths chosen by cross-validation.

    Args:
        examples: Labels; of components whose values do not differ, the weight is 0.
        groups: Of each label; those of one group are never on both sides.
        rng: Draws the folds.

    Raises:
        UsageError: No component differs, or scikit-learn is not installed.
    """
    inputs, labels, kind = examples.inputs(), examples.labels, examples.kind
    scale = _scale(inputs, kind)
    if not scale.any():
        raise UsageError("no component differs between the labelled episodes; there is nothing to fit")
    used = np.flatnonzero(scale)
    scaled = inputs[:, used] / scale[used]
    losses = np.full((len(_SHARES) * len(_RIDGES), len(labels)), np.nan)
    sizes = np.zeros(len(losses))
    folds = list(folds_of(groups, rng))
    for train, held in folds:
        for at, (weights, intercept) in enumerate(_path(scaled[train], labels[train], kind)):
            losses[at, held] = _loss(scaled[held] @ weights + intercept, labels[held], kind)
            sizes[at] += np.count_nonzero(weights) / len(folds)
    at = _chosen(losses, sizes, groups)
    weights, _ = list(_path(scaled, labels, kind))[at]
    whole = np.zeros(len(scale))
    whole[used] = weights / scale[used]
    lasso, ridge = divmod(at, len(_RIDGES))
    return Fitted(weights=whole, lasso=_SHARES[lasso], ridge=_RIDGES[ridge], loss=float(losses[at].mean()))


def folds_of(groups: Ints, rng: np.random.Generator) -> Iterator[tuple[Ints, Ints]]:
    """Yield the labels to fit and those to hold out, fold by fold; a group is never on both sides.

    Raises:
        UsageError: There are fewer groups than folds.
    """
    num = int(groups.max()) + 1 if len(groups) else 0
    if num < NUM_FOLDS:
        raise UsageError(
            f"{num} groups of labels cannot be held out in {NUM_FOLDS} folds; label episodes of more tasks"
        )
    fold_of_group = rng.permutation(num) % NUM_FOLDS
    fold = fold_of_group[groups]
    for each in range(NUM_FOLDS):
        yield np.flatnonzero(fold != each), np.flatnonzero(fold == each)


def _scale(inputs: Floats, kind: Kind) -> Floats:
    """Return the spread of each column, 0 where it does not differ: of differences around 0, else around the mean."""
    spread = np.sqrt((inputs**2).mean(axis=0)) if kind == "preferences" else inputs.std(axis=0)
    return np.where(spread > 1e-9, spread, 0.0)


def _path(inputs: Floats, labels: Floats, kind: Kind) -> Iterator[tuple[Floats, float]]:
    """Yield weights and intercept for every pair of strengths."""
    centre = inputs.mean(axis=0) if kind != "preferences" else np.zeros(inputs.shape[1])
    moved = inputs - centre
    model = _Model(moved, labels, kind)
    known: dict[tuple[bytes, float], tuple[Floats, float]] = {}
    for share in _SHARES:
        kept = model.kept(share)
        for ridge in _RIDGES:
            key = (kept.tobytes(), ridge)
            if key not in known:
                weights, intercept = model.refitted(kept, ridge)
                known[key] = weights, intercept - float(centre @ weights)
            yield known[key]


class _Model:
    """One set of labels, fitted at several strengths.

    Args:
        inputs: [N, C]; of classes and numbers with mean 0.
        labels: [N].
        kind: Of label.
    """

    def __init__(self, inputs: Floats, labels: Floats, kind: Kind) -> None:
        self._kind = kind
        self._inputs = inputs
        self._labels = labels
        self._mean = 0.5 if kind == "preferences" else float(labels.mean())
        gradient = np.abs(inputs.T @ (labels - self._mean)) / len(labels)
        self._strongest = float(gradient.max())  # the lasso leaves no component above it
        self._first = int(gradient.argmax())
        self._is_settled = kind == "classes" and self._mean in (0.0, 1.0)  # a fold in which all are of one class
        if kind == "numbers" or self._is_settled:
            return
        # Each label is a row of each class, weighted, so that ties need no model of their own. A preference turned
        # round is the same preference: half of them are, since solvers want both classes.
        turned = np.arange(len(labels)) % 2 == 1 if kind == "preferences" else np.zeros(len(labels), dtype=bool)
        sign = np.where(turned, -1.0, 1.0)
        share = np.where(turned, 1.0 - labels, labels)
        rows = np.concatenate([inputs * sign[:, None]] * 2)
        classes = np.repeat([1, 0], len(labels))
        weights = np.concatenate([share, 1.0 - share])
        there = weights > 0
        self._rows, self._classes, self._row_weights = rows[there], classes[there], weights[there]

    def kept(self, share: float) -> Ints:
        """Return the components that the lasso keeps at a share of the strength that leaves none."""
        from sklearn.linear_model import Lasso, LogisticRegression

        if self._is_settled:
            return np.array([self._first])
        strength = max(share * self._strongest, 1e-12)
        if self._kind == "numbers":
            with _patiently():
                found = Lasso(alpha=strength).fit(self._inputs, self._labels).coef_
        else:
            model = LogisticRegression(
                C=1.0 / (strength * len(self._labels)),
                l1_ratio=1.0,
                solver="liblinear",
                fit_intercept=self._kind == "classes",
                intercept_scaling=30.0,  # liblinear punishes the intercept too; so scaled, by next to nothing
                max_iter=1000,
                random_state=0,  # the order in which it passes over the columns
            )
            with _patiently():
                found = model.fit(self._rows, self._classes, self._row_weights).coef_[0]
        kept = np.flatnonzero(np.abs(found) > 1e-9)
        return (kept if len(kept) else np.array([self._first])).astype(np.int64)

    def refitted(self, kept: Ints, ridge: float) -> tuple[Floats, float]:
        """Return weights of all components and the intercept, with these components only."""
        from sklearn.linear_model import LogisticRegression, Ridge

        weights = np.zeros(self._inputs.shape[1])
        if self._is_settled:
            num = len(self._labels)
            return weights, float(np.log((self._mean * num + 0.5) / ((1 - self._mean) * num + 0.5)))
        with _patiently():
            if self._kind == "numbers":
                linear = Ridge(alpha=ridge * len(self._labels)).fit(self._inputs[:, kept], self._labels)
                weights[kept], intercept = linear.coef_, float(linear.intercept_)
            else:
                model = LogisticRegression(
                    C=1.0 / (ridge * len(self._labels)),
                    solver="newton-cholesky",
                    fit_intercept=self._kind == "classes",
                    max_iter=200,
                )
                model.fit(self._rows[:, kept], self._classes, self._row_weights)
                weights[kept], intercept = model.coef_[0], float(np.ravel(model.intercept_)[0])
        return weights, intercept


def _loss(predicted: Floats, labels: Floats, kind: Kind) -> Floats:
    """Return the loss of each label: minus the log-likelihood, or the squared error."""
    if kind == "numbers":
        return (predicted - labels) ** 2
    loss: Floats = np.logaddexp(0.0, predicted) - labels * predicted
    return loss


def _chosen(losses: Floats, sizes: Floats, groups: Ints) -> int:
    """Return the candidate with the fewest components among those that are as good as the best."""
    means = losses.mean(axis=1)
    best = int(means.argmin())
    num = int(groups.max()) + 1
    worse = losses - losses[best]
    sums = np.stack([np.bincount(groups, weights=each, minlength=num) for each in worse])
    sizes_of_groups = np.bincount(groups, minlength=num)
    residuals = sums - worse.mean(axis=1)[:, None] * sizes_of_groups  # labels of a group err together
    error = np.sqrt((residuals**2).sum(axis=1) * num / max(1, num - 1)) / losses.shape[1]
    good = np.flatnonzero(worse.mean(axis=1) <= _SLACK * error)
    return int(min(good, key=lambda at: (round(float(sizes[at]), 6), float(means[at]))))


@contextmanager
def _patiently() -> Iterator[None]:
    """Let a solver stop short of its tolerance: what it gives is judged on held-out labels like any other."""
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning

    quick = config_context(assume_finite=True, skip_parameter_validation=True)  # `Examples` has looked already
    with warnings.catch_warnings(), quick:
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
