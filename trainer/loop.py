"""The training loop: draw tasks, play them, compare within groups, improve, repeat.

Everything random is a function of (seed, step, group, round, member, turn), so that a run resumed from a checkpoint
draws what an unbroken one would have drawn. `Run` reads from top to bottom like the paper's algorithm.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from statistics import fmean
from typing import Any

import torch
from transformers import PreTrainedModel

from agentrl.trainer.chat import Chat
from agentrl.trainer.checkpoint import TrainerState, latest_checkpoint, load_state, save_checkpoint
from agentrl.trainer.config import TrainConfig
from agentrl.trainer.credit import Penalties, kl_penalties, overlong_penalties, set_advantages
from agentrl.trainer.curriculum import Curriculum
from agentrl.trainer.determinism import torch_settings
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.errors import ParityError, TrainerError
from agentrl.trainer.evaluation import HeldOut, check_usable
from agentrl.trainer.groups import Draw, Played, play_step
from agentrl.trainer.memory import MemoryWatch
from agentrl.trainer.metrics import MetricsLog, drop_metrics, episode_metrics, speed_metrics
from agentrl.trainer.mixture import env_metrics, weights_of
from agentrl.trainer.model import load_model, pick_device
from agentrl.trainer.parity import ParityGate
from agentrl.trainer.pipeline import Pipeline, Upcoming
from agentrl.trainer.policy import load_policy
from agentrl.trainer.progress import Progress
from agentrl.trainer.replay import Replay
from agentrl.trainer.report import write_curve_svg, write_report
from agentrl.trainer.rollout import Rollouts, Task
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.stopping import Stopper, Terminated
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.types import Episode
from agentrl.trainer.update import Updater
from agentrl.trainer.watch.live import LiveWatch
from agentrl.trainer.workers import open_workers

__all__ = ["train"]


def train(config: TrainConfig, *, run_dir: RunDir, progress: Progress | None = None) -> dict[str, Any]:
    """Train, from the start or from the newest checkpoint in `run_dir`; return the summary that is also on disk.

    Raises:
        ConfigError: The environment or the model does not fit.
        RunFolderError: The run folder cannot be written.
        ParityError: Engine and trainer disagree on log-probabilities.
        TrainerError: Nothing can be learnt: every episode of a step failed, or the gradient is not finite.
        Terminated: SIGTERM came; the step done last is kept.
        Halted: The watch pauses the run, or has rolled it back.
    """
    settings = torch_settings(config.threads, pick_device(config.device))
    with run_dir.locked(), settings, progress or Progress() as shown, Run(config, run_dir, shown) as run:
        return run.run()


class Run:
    """A run in progress; owns the model, the engine, the environments and the files."""

    def __init__(self, config: TrainConfig, run_dir: RunDir, progress: Progress) -> None:
        self.config, self.dir, self.progress = config, run_dir, progress
        self._stopper = Stopper()
        self.envs = weights_of(config.env)
        checkpoint = latest_checkpoint(run_dir.checkpoints)
        self.state = load_state(checkpoint) if checkpoint else None
        self.step = self.state.step if self.state else 0
        device = pick_device(config.device)
        self.model, self.tokenizer = load_policy(config, checkpoint)
        self.chat = Chat(self.tokenizer)
        self.updater = Updater(self.model, self._reference(device), config)
        self.num_tokens, self.train_seconds, self.recent = 0, 0.0, list[float]()
        self.num_skipped = 0  # updates in a row
        self.unwritten: dict[str, float] = {}  # metrics of the step done last, until they are on disk
        self.kept: dict[int, Upcoming] = {}  # steps that were under way at the checkpoint
        self.curriculum, self.replay = Curriculum(level=config.level), Replay()
        self.draw = Draw(
            seed=config.seed,
            envs=self.envs,
            groups_per_step=config.groups_per_step,
            group_size=config.group_size,
            temperature=config.temperature,
        )
        if self.state:
            self._restore(self.state)
        with ExitStack() as opened:
            self.store = opened.enter_context(RolloutStore(run_dir.path / "rollouts.sqlite"))
            log = MetricsLog(run_dir.path / "metrics.jsonl", tensorboard=config.tensorboard)
            self.metrics = opened.enter_context(log)
            # What was done after the checkpoint is done again, the same.
            self.store.drop_after(self.step)
            self.metrics.truncate_after(self.step - bool(self.unwritten))
            self.watch = LiveWatch(config, run_dir, progress, self.state.watch if self.state else {})
            self.engine = opened.enter_context(
                open_engine(
                    self.model,
                    max_tokens=config.rollout.max_episode_tokens,
                    max_sessions=config.rollout.concurrency,
                    schedule=config.schedule,
                    options=config.engine,
                    beside=config.asynchronous,
                )
            )
            self.engine.update_weights(self.step)
            self.parity = ParityGate(
                self.model,
                self.engine,
                seed=config.seed,
                temperature=config.temperature,
                max_tokens=config.rollout.max_episode_tokens,
                bound=config.max_probe_difference,
            )
            self.parity.check(self.step)
            workers = opened.enter_context(open_workers(config.env_workers, config.ray))
            self.rollouts = Rollouts(
                env_id=next(iter(self.envs)),
                env_kwargs=config.env_kwargs,
                engine=self.engine,
                chat=self.chat,
                config=config.rollout,
                wrapper=config.wrapper,
                workers=workers,
            )
            opened.callback(self.rollouts.close)
            self.memory = MemoryWatch(config.max_memory_mb, self.rollouts.close)
            self.held_out = HeldOut(
                config, run_dir, draw=self.draw, store=self.store, play=self._play, progress=progress
            )
            self.pipeline: Pipeline | None = None
            if config.asynchronous:
                self.pipeline = Pipeline(
                    self.rollouts,
                    self.engine,
                    draw=self.draw,
                    max_rounds=config.groups.rounds,
                    num_workers=config.rollout.concurrency,
                )
                opened.callback(self.pipeline.close)
            self._opened = opened.pop_all()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def run(self) -> dict[str, Any]:
        """Evaluate, train, evaluate, report.

        Raises:
            Terminated: SIGTERM came; the step done last is kept.
            Halted: The watch pauses the run, or has rolled it back.
        """
        with self._stopper.listening():
            try:
                before = self.held_out.play("eval_before", self.step)
                if self.unwritten:
                    self._finish_step()
                while not self._ends_here() and self.step < self.config.num_steps:
                    self.train_step()
                self._keep()
                after = self.held_out.play("eval_after", self.step)
            except Terminated:
                self._keep()
                raise
        return self._summarise(before, after)

    def train_step(self) -> None:
        """One step of GRPO."""
        start = time.perf_counter()
        step = self.step + 1
        config, watched = self.config, self._watch_memory()
        level, played = self._rollout(step)
        rollout_s = time.perf_counter() - start
        episodes, everything = played.kept, played.everything
        penalties, shaped = self._penalties(episodes)
        set_advantages(
            episodes, config.advantage, gamma=config.gamma, step_weight=config.step_weight, penalties=penalties
        )
        self.store.add(everything)
        check_usable(episodes, f"episodes of step {step}", config, self.dir)
        stored = time.perf_counter()
        learnt = self.updater.step(episodes, step)
        self._check_finite(learnt)
        if not config.asynchronous:  # else older weights explain a difference; the probe sees the engine's faults
            self._check_parity(learnt, step)
        self.engine.update_weights(step)
        learnt |= self.parity.check(step)
        self.step = step
        self.train_seconds += time.perf_counter() - start
        self.num_tokens += sum(len(episode.token_ids) for episode in everything)
        metrics = watched | episode_metrics(played.first, version=step - 1) | drop_metrics(self._dropped(played))
        metrics |= learnt | shaped | (played.metrics() if config.groups.dynamic_sampling else {})
        metrics |= env_metrics(played.first) | self.engine.metrics() | self.watch.note(step, played.first)
        metrics |= self.replay.note(played, step, config.replay, level=level, seed=config.seed)
        seconds = {"rollout_s": rollout_s, "update_s": time.perf_counter() - stored}
        metrics |= speed_metrics(everything, **seconds, overlap=config.asynchronous)
        metrics |= {"num_tokens": float(self.num_tokens), "perf/train_s": self.train_seconds}
        if config.curriculum.max_level is not None and level is not None:
            metrics["curriculum/level"] = float(level)
        if level == self.curriculum.level:  # rollouts that ran ahead may be of the level before
            self.curriculum.note(metrics.get("success"), config.curriculum)
        self.recent = [*self.recent, metrics.get("success", 0.0)][-10:]
        self._run_ahead()
        self.unwritten = metrics
        self._finish_step()

    def _finish_step(self) -> None:
        """Evaluate where it is time, and write the step's metrics; a resume does what a stop in there left undone."""
        step, metrics, every = self.step, dict(self.unwritten), self.config.eval.every
        if every and step % every == 0 and step < self.config.num_steps:
            metrics |= {f"eval/{name}": value for name, value in self.held_out.play("eval", step).items()}
        self.metrics.write(step, metrics)
        self.watch.write()
        self.unwritten = {}
        if step % self.config.checkpoint.every == 0 or step == self.config.num_steps:
            self.save()
        self.progress.update(metrics, step, self.config.num_steps)

    def save(self) -> None:
        """Write a checkpoint of the step done last."""
        state = TrainerState(
            step=self.step,
            optimizer=self.updater.optimizer.state_dict(),
            num_tokens=self.num_tokens,
            train_seconds=self.train_seconds,
            torch_rng=torch.get_rng_state(),
            cuda_rng=torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            recent_success=self.recent,
            curriculum=asdict(self.curriculum),
            replay=asdict(self.replay),
            queue=self.pipeline.state() if self.pipeline else [],
            unwritten=self.unwritten,
            watch=self.watch.state(),
        )
        save_checkpoint(
            self.dir.checkpoints,
            model=self.model,
            tokenizer=self.tokenizer,
            state=state,
            keep=self.config.checkpoint.keep,
            lora=self.config.lora,
        )

    # -- parts ---------------------------------------------------------------------------------------------------

    def _play(self, tasks: Sequence[Task]) -> list[Episode]:
        with self._stopper.may_leave():
            return (self.pipeline or self.rollouts).play(tasks)

    def _rollout(self, step: int) -> tuple[int | None, Played]:
        """Play a step's groups, or wait for those that run ahead; return their level and the episodes."""
        if self.pipeline is not None:
            self._run_ahead()
            with self._stopper.may_leave():
                upcoming, played = self.pipeline.take(step)
            return upcoming.level, played
        level, again = self.curriculum.level, self.replay.draw(self.draw, step, self.config.replay)
        rounds = self.config.groups.rounds
        return level, play_step(self._play_groups, self.draw, step, level=level, max_rounds=rounds, replayed=again)

    def _play_groups(self, tasks: Sequence[Task]) -> list[Episode]:
        return self.rollouts.score_groups(self._play(tasks))

    def _run_ahead(self) -> None:
        """Begin the steps that may begin with the weights as they are."""
        if self.pipeline is None:
            return
        for step in range(self.step + 1, min(self.step + 1 + self.config.ahead, self.config.num_steps) + 1):
            if step not in self.pipeline.steps:
                again = self.replay.draw(self.draw, step, self.config.replay)
                fresh = Upcoming(step=step, level=self.curriculum.level, replayed=again)
                self.pipeline.start(self.kept.pop(step, fresh))

    def _watch_memory(self) -> dict[str, float]:
        try:
            return self.memory.check(", ".join(self.envs))
        except TrainerError as error:
            self._keep()
            raise TrainerError(f"{error}; then go on with: agentrl train --resume {self.dir.path}") from None

    def _keep(self) -> None:
        if self.step and not (self.dir.checkpoints / f"step_{self.step}").exists():
            self.save()

    def _penalties(self, episodes: list[Episode]) -> tuple[list[Penalties], dict[str, float]]:
        """Return what is taken off the rewards before they are compared, and its metrics."""
        loss, buffer = self.config.loss, self.config.overlong_buffer
        penalties: list[Penalties] = []
        metrics: dict[str, float] = {}
        if loss.kl_in == "reward":
            kl = self.updater.kl_to_reference(episodes)
            penalties.append(kl_penalties(episodes, kl, beta=loss.beta))
            sampled = sum(sum(episode.mask) for episode in episodes if episode.failure is None)
            metrics["kl"] = sum(float(kl_T.sum()) for kl_T in kl.values()) / max(1, sampled)
        if buffer is not None:
            longest = self.config.rollout.max_episode_tokens
            overlong = overlong_penalties(episodes, longest=longest, buffer=buffer)
            penalties.append(overlong)
            metrics["overlong_penalty"] = fmean(sum(taken) for taken in overlong.values()) if overlong else 0.0
        return penalties, metrics

    def _reference(self, device: torch.device) -> PreTrainedModel | None:
        """Return the model that training began with, frozen; none where there is no KL to it."""
        if self.config.loss.beta <= 0:
            return None
        config = self.config
        reference = load_model(config.model, device=device, dtype=config.dtype, head_dtype=config.head_dtype)
        return reference.eval().requires_grad_(False)

    def _restore(self, state: TrainerState) -> None:
        self.updater.optimizer.load_state_dict(state.optimizer)
        self.num_tokens, self.train_seconds = state.num_tokens, state.train_seconds
        self.recent = list(state.recent_success)
        torch.set_rng_state(state.torch_rng)
        if state.curriculum:
            self.curriculum = Curriculum(**state.curriculum)
        self.replay, self.unwritten = Replay.restore(state.replay), dict(state.unwritten)
        self.kept = {upcoming.step: upcoming for upcoming in map(Upcoming.restore, state.queue)}
        if state.cuda_rng and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state.cuda_rng)

    def _check_finite(self, learnt: Mapping[str, float]) -> None:
        self.num_skipped = self.num_skipped + int(learnt["skipped_updates"]) if learnt["skipped_updates"] else 0
        if self.num_skipped > self.config.optim.max_skipped:
            raise TrainerError(
                f"{self.num_skipped} updates in a row were skipped, more than optim.max_skipped: "
                f"{self.updater.trouble}. The weights are as before them. Lower optim.lr ({self.config.optim.lr}) in "
                f"the run's config.toml, then go on from the newest checkpoint: agentrl train --resume {self.dir.path}"
            )

    def _check_parity(self, learnt: Mapping[str, float], step: int) -> None:
        difference = learnt["sampling/sampling_logp_difference/mean"]
        if difference > self.config.max_logp_difference:
            raise ParityError(
                f"step {step}: the engine's log-probabilities differ from the trainer's by {difference:.3g} on "
                f"average, more than max_logp_difference={self.config.max_logp_difference}. The engine samples from "
                "other weights, or at another precision; nothing of this step was kept: agentrl train --resume "
                f"{self.dir.path}"
            )

    def _dropped(self, played: Played) -> Iterator[tuple[str, Episode]]:
        for episode in played.replaced:
            yield "infrastructure" if episode.failure is not None else "replaced", episode
        alive: dict[int, int] = {}
        episodes = played.kept
        for episode in episodes:
            alive[episode.group] = alive.get(episode.group, 0) + (episode.failure is None)
        for episode in episodes:
            if episode.failure is not None:
                yield "infrastructure", episode
            elif alive[episode.group] < 2 and not episode.teaches:
                yield "no_baseline", episode
            elif self.config.loss.drops_overlong and episode.overlong:
                yield "overlong", episode
            elif not episode.teaches and not self.config.loss.trains_all:
                yield "zero_advantage", episode

    def _ends_here(self) -> bool:
        bound = self.config.stop_at_success
        good_enough = bound is not None and len(self.recent) == 10 and sum(self.recent) / 10 > bound
        return self.watch.heed(save=self.save, drop_after=self._drop_after) or good_enough

    def _drop_after(self, step: int) -> None:
        self.store.drop_after(step)
        self.metrics.truncate_after(step)

    def _summarise(self, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Any]:
        summary = {
            "success_before": before.get("success"),
            "success_after": after.get("success"),
            "greedy_before": before.get("greedy"),
            "greedy_after": after.get("greedy"),
            "reward_before": before.get("success_reward"),
            "reward_after": after.get("success_reward"),
            "num_episodes": self.store.count(phase="train"),
            "num_eval_episodes": self.config.eval.num_episodes,
            "num_steps": self.step,
            "train_seconds": round(self.train_seconds, 1),
            "seed": self.config.seed,
            "env": self.config.env,
            "level": self.config.level,
            "model": self.config.model,
            "model_parameters": self.model.num_parameters(),
        } | self.watch.summary()
        self.dir.write_json("summary.json", summary)
        write_report(self.dir.path)
        write_curve_svg(self.dir.path, self.dir.path / "curve.svg")
        return summary
