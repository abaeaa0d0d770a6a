"""TRL's own training, watched: completions are led as dialogues, and boundaries are told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation

from ...domain.errors import LOSS, NonFiniteError, TrainingError
from ...domain.records import TrainerConfig
from ...tasks import Task, dialogue, facts_of, make_task
from ..heartbeat import Tally
from ..shortening import settings_of
from .dialogues import Rollout, lead
from .divergence import divergence_in_loss
from .models.commits import begin_with, commit_begun_with
from .models.loading import Source, model_found, source_of, speech_of
from .problems import training_problems
from .recorder import MetricsRecorder
from .rows import Batch
from .speaking import Speaker
from .speech import Speech

DR_GRPO = "dr_grpo"
"""TRL's name of the loss."""
PROBLEM = "problem"
"""The column that holds a problem's seed."""


@dataclass(frozen=True)
class Lesson:
    """What is learned, and by whom."""

    task: Task
    source: Source
    speech: Speech
    problems: Sequence[int]
    """Seeds of the problems in the order in which they are asked; one pass over them is the run."""
    settings: Mapping[str, Any]


def lesson_of(config: TrainerConfig, prompts: int, tally: Tally) -> Lesson:
    """Draw the problems of a run, and find the model that learns from them.

    Args:
        config: of the run.
        prompts: of the whole run, those that are asked again counted again.
        tally: counts what is done.

    Raises:
        TrainingError: when there is no such model, or it is of no use for the task.
        StorageError: when a model, or which one it is, cannot be kept.
    """
    name = settings_of(config)["model_name"]
    commit = commit_begun_with(name, config.run_dir)
    lesson = _lesson(config, prompts, tally, commit)
    if commit is None:  # and only now: a model that is of no use may be mended on its hub
        commit = begin_with(lesson.source.commit, name, config.run_dir)
    is_agreed = commit == lesson.source.commit
    return lesson if is_agreed else _lesson(config, prompts, tally, commit)


def _lesson(config: TrainerConfig, prompts: int, tally: Tally, commit: str | None) -> Lesson:
    """As `lesson_of`, of this commit of a hub's model; None for the newest."""
    settings, modules = settings_of(config), config.environment_modules
    task = make_task(config.environment, config.environment_kwargs, modules)
    name = settings["model_name"]
    folder = model_found(name, task, config.environment, tally, commit=commit)
    source = source_of(name, folder)
    problems = training_problems(task, config.seed, settings["max_prompts"], prompts)
    lesson = Lesson(task, source, speech_of(source, task), problems, settings)
    _check_room(lesson)
    return lesson


def _check_room(lesson: Lesson) -> None:
    """Make sure that all prompts of the run leave room for completions.

    Raises:
        TrainingError: when one does not.
    """
    problems = sorted(set(lesson.problems))
    openings = [dialogue(lesson.task, seed, held_out=False).opening for seed in problems]
    lesson.speech.prompts(openings, lesson.settings["max_completion_length"])


class Learning(GRPOTrainer):  # type: ignore[misc]
    """One run of TRL's trainer.

    Args:
        lesson: what is learned.
        arguments: TRL's configuration.
        recorder: takes down what happens.
        tally: counts tokens and minibatches.
    """

    def __init__(
        self, lesson: Lesson, arguments: GRPOConfig, recorder: MetricsRecorder, tally: Tally
    ) -> None:
        self._lesson = lesson
        self._recorder = recorder
        self._tally = tally
        self._asked: list[int] = []
        self._rewards: np.ndarray = np.zeros(0)
        self._facts: list[Mapping[str, float]] = []
        """Of the dialogues that this process led last."""
        self._log_probabilities = torch.zeros(0)
        self._kl_in_loss = 0.0
        """Of the minibatches since the last optimiser step, of all processes together."""
        self.at_boundary: Callable[[int], None] = lambda _: None
        """Called between two batches, with the optimiser steps so far."""
        rows = [_row(lesson.task, seed) for seed in lesson.problems]
        super().__init__(
            model=str(lesson.source.folder),
            reward_funcs=[_paid],
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=lesson.source.tokenizer,
            rollout_func=self._lead,
        )
        self.remove_callback(PrinterCallback)

    @property
    def precision(self) -> str:
        """In which it computes beside float32, as Accelerate calls it: `bf16` or `no`."""
        return str(self.accelerator.mixed_precision)

    def check_precision(self) -> None:
        """Refuse to train in another precision than was asked for.

        Raises:
            TrainingError: with both.
        """
        asked = "bf16" if self.args.bf16 else "no"
        if self.precision != asked:
            raise TrainingError(
                f"mixed precision {asked} was asked for, and Accelerate has {self.precision}",
                remedy="train with the versions of constraints.txt",
            )

    @property
    def steps_between(self) -> int:
        """Optimiser steps that learn from one batch."""
        minibatches: int = self.args.steps_per_generation * self.num_iterations
        return minibatches // int(self.args.gradient_accumulation_steps)

    def begin_with(self, function: Callable[[], None]) -> None:
        """Call a function just before the first batch is drawn, once everything is set up."""
        self.add_callback(_Beginning(function))

    # ---- what TRL calls

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._asked = [row[PROBLEM] for row in inputs]
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        advantages = np.array(list(self._logs["advantages"])[-len(self._rewards) :])
        facts = gather_object(self._facts)  # of all processes, as the rewards are
        self._recorder.note_batch(Batch(self._rewards, advantages, self.num_generations, facts))
        return output

    def _lead(self, prompts: list[str], _: Any) -> dict[str, Any]:
        """The completions of a batch, as TRL's `rollout_func` gives them."""
        lesson = self._lesson
        with unwrap_model_for_generation(
            self.model_wrapped,
            self.accelerator,
            gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
        ) as model:
            rollouts = lead(
                [dialogue(lesson.task, seed, held_out=False) for seed in self._asked],
                lesson.speech,
                Speaker(model, lesson.speech, lesson.settings, self._tally),
                turns=lesson.task.turns,
                budget=self.args.max_completion_length,
            )
        del prompts  # they are in the dialogues
        self._facts = [facts_of(each.dialogue) for each in rollouts]
        return _as_told(rollouts)

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        rewards: torch.Tensor = super()._calculate_rewards(*args, **kwargs)
        self._rewards = rewards[:, 0].double().cpu().numpy()
        if not np.isfinite(self._rewards).all():
            raise NonFiniteError("return of a completion", self.state.global_step)
        return rewards

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """A minibatch, counted."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self._tally.count += 1
        return loss

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        told = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._log_probabilities = told[0].detach()
        return told

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        if self.beta and self.loss_type == DR_GRPO:
            kl = divergence_in_loss(self._log_probabilities, inputs, self.max_completion_length)
            kl = self.accelerator.reduce(kl, "mean") / self.current_gradient_accumulation_steps
            self._kl_in_loss += self.beta * float(kl)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Take down an optimiser step."""
        super().log(logs, start_time)
        if "loss" not in logs:  # the summary at the end of training
            return
        loss, step = logs["loss"], self.state.global_step
        self._recorder.note_step(step, loss, logs, self._kl_in_loss)
        self._kl_in_loss = 0.0
        if not math.isfinite(loss):
            raise NonFiniteError(LOSS, step)
        if not math.isfinite(logs.get("grad_norm", 0.0)):
            raise NonFiniteError("norm of the gradients", step)

    # of a checkpoint the library reads nothing but how far training is: all else is taken over at
    # once, when everything is set up

    def _load_from_checkpoint(self, *_: Any, **__: Any) -> None: ...

    def _load_optimizer_and_scheduler(self, *_: Any, **__: Any) -> None: ...

    def _load_rng_state(self, *_: Any, **__: Any) -> None: ...

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        super()._maybe_log_save_evaluate(*args, **kwargs)
        step = self.state.global_step
        if step < self.args.max_steps and step % self.steps_between == 0:
            self.at_boundary(step)


class _Beginning(TrainerCallback):  # type: ignore[misc]
    """Calls a function before the first step."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Call it the first time."""
        del args, state, control, kwargs
        function, self._function = self._function, None
        if function is not None:
            function()


def _row(task: Task, seed: int) -> dict[str, Any]:
    return {"prompt": dialogue(task, seed, held_out=False).opening, PROBLEM: seed}


def _as_told(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    return {
        "prompt_ids": [each.prompt for each in rollouts],
        "completion_ids": [each.completion for each in rollouts],
        "logprobs": None,
        "env_mask": [each.is_said for each in rollouts],
        "paid": [each.dialogue.reward for each in rollouts],
    }


def _paid(paid: list[float], **_: Any) -> list[float]:
    """TRL's reward function: what the dialogues were worth."""
    return paid
