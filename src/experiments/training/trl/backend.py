"""TRL behind the backend protocol: GRPO and Dr. GRPO on language tasks.

A timestep is a step of the optimiser, and an episode a dialogue. Boundaries lie where a new batch
of completions is about to be drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch

from ...config.environments import import_environment_modules
from ...config.generations import generation_of
from ...domain import metric_names as names
from ...domain.errors import NonFiniteError, UsageError
from ...domain.paths import AttemptPaths
from ...domain.records import TrainerConfig
from ...durability.segments import SegmentWriter
from ..backend import Description, NotRestoredError, Observer, Resumption, StopTraining, Trained
from ..determinism import (
    generators_restored,
    seed_generators,
    torch_threads,
    training_modes_restored,
)
from ..diagnostics import Diagnostic
from ..evaluation import Episode
from ..heartbeat import Tally
from ..shortening import planned_timesteps, settings_of
from . import state as states
from .arguments import grpo_config
from .episodes import held_out_episodes
from .learning import Learning, lesson_of
from .models.beginning import beginning_of, why_another
from .models.loading import Source
from .models.saving import parameters_sha256, save_model
from .processes.ranks import Ranks, leading
from .recorder import MetricsRecorder
from .speaking import Speaker
from .surroundings import (
    device_named,
    forget_devices,
    hushed,
    scratch_folder,
    tokenizing_in_one_thread,
    without_deprecations,
)


class LanguageModels:
    """One run of GRPO or Dr. GRPO."""

    def __init__(self, config: TrainerConfig, ranks: Ranks | None = None) -> None:
        self._config = config
        self._ranks = ranks
        """None until the other processes are started, where this one starts them."""
        self._generators: list[Any] = []
        """Those of all processes, told at the boundary at which training is."""
        self._settings = settings_of(config)
        self._tally = Tally()
        self._undo = ExitStack()
        self._built: Learning | None = None
        self._recorder = MetricsRecorder(
            is_dr_grpo=config.algorithm == "DR_GRPO",
            extra=_facts(self._settings["processes"]),
        )

    @property
    def learning(self) -> Learning:
        """TRL's trainer, once built."""
        if self._built is None:
            raise RuntimeError("call build() first")
        return self._built

    def build(self) -> Description:
        """Load the model, draw the problems and set TRL up; nothing is trained yet."""
        config, settings = self._config, self._settings
        self._undo.enter_context(hushed())
        self._undo.enter_context(tokenizing_in_one_thread())
        device = device_named(config.device)
        self._undo.enter_context(torch_threads(config.torch_threads))
        self._undo.callback(forget_devices)
        is_first = self._ranks is None  # the others are given theirs
        self._scratch = self._undo.enter_context(scratch_folder(config, is_first=is_first))
        import_environment_modules(config.environment_modules)
        self._lesson = lesson_of(config, self._prompts_asked(), self._tally)
        if self._ranks is None:
            others = leading(_of_folder(config, self._lesson.source), settings["processes"])
            self._ranks = self._undo.enter_context(others)
        arguments = grpo_config(config, device, str(self._scratch))
        self._ranks.check_count(arguments.world_size)
        with without_deprecations(), self._ranks.explaining():
            self._built = Learning(self._lesson, arguments, self._recorder, self._tally)
        self.learning.check_precision()
        self._beginning = beginning_of(self.learning.model, self._lesson.source)
        self._tally.count += 1
        return Description(
            policy="CausalLM",
            device=states.device_of(self.learning),
            threads=torch.get_num_threads(),
            parameters=sum(each.numel() for each in self.learning.model.parameters()),
            parameters_sha256=self._beginning["parameters_sha256"],
            planned_timesteps=planned_timesteps(config),
            shortest_row=1,
            starting_model=self._beginning,
            texts={
                names.ACCELERATE_DEVICE: states.device_of(self.learning),
                names.ACCELERATE_PRECISION: self.learning.precision,
            },
        )

    @property
    def _running(self) -> Ranks:
        if self._ranks is None:
            raise RuntimeError("call build() first")
        return self._ranks

    def _prompts_asked(self) -> int:
        """Prompts of the whole run, those that are asked again counted again."""
        generation = generation_of(self._settings)
        batches = planned_timesteps(self._config) // generation.optimizer_steps
        return batches * generation.prompts

    def train(
        self,
        observer: Observer,
        *,
        resumption: Resumption | None = None,
        tells_state: bool = False,
    ) -> Trained:
        """Run TRL's `train`, watched."""
        learning, ranks = self.learning, self._running
        learning.at_boundary = self._telling(observer, tells_state=ranks.shared(tells_state))
        state = ranks.shared(None if resumption is None else dict(resumption.state))
        if state is None:
            folder = None
            learning.begin_with(lambda: learning.at_boundary(0))
        else:
            folder = self._prepare(state, resumption)
        try:
            is_complete = self._learn(folder)
            self._check_parameters()
            ranks.check_alike(self.parameters_sha256())
        except (NonFiniteError, NotRestoredError):
            raise
        except Exception as error:
            self._check_parameters()  # the library stumbles over a NaN in its own way
            raise ranks.explained(error) from error
        return Trained(
            step=learning.state.global_step,
            metrics=self._recorder.final(),
            last=self._recorder.collect(),
            is_complete=is_complete,
        )

    def _learn(self, folder: str | None) -> bool:
        """Whether training went to its end."""
        try:
            with without_deprecations():
                self.learning.train(resume_from_checkpoint=folder)
        except StopTraining:
            return False
        return True

    def _telling(self, observer: Observer, *, tells_state: bool) -> Callable[[int], None]:
        """What happens at a boundary: the first process observes, and all do as it says."""
        ranks = self._running

        def at_boundary(step: int) -> None:
            if not ranks.shared(step >= observer.next_step):
                return
            self._check_parameters()
            if not ranks.is_first:
                self._recorder.collect()  # what nobody will read would pile up
            if tells_state:
                self._generators = ranks.gathered(states.generators())
            stops = ranks.is_first and self._is_stopped(observer, step)
            if ranks.shared(stops):
                raise StopTraining

        return at_boundary

    def _check_parameters(self) -> None:
        """Refuse to go on with a parameter that is no number.

        Raises:
            NonFiniteError: naming it.
        """
        for name, values in self.learning.model.named_parameters():
            if not bool(torch.isfinite(values).all()):
                raise NonFiniteError(f"parameter {name}", self.learning.state.global_step)

    def _is_stopped(self, observer: Observer, step: int) -> bool:
        try:
            observer.observe(step, self._recorder.collect)
        except StopTraining:
            return True
        return False

    def _prepare(self, state: Mapping[str, Any], resumption: Resumption | None) -> str:
        """Have a state taken over before the first batch; the folder that TRL goes on from."""
        rank, name = self._running.rank, self._lesson.source.name
        reasons = [why_another(state.get("beginning"), self._beginning, name)]

        def take_over() -> None:
            with states.restoring():
                reasons.append(states.restore(state, self.learning, self._recorder, rank))
            if resumption is not None:
                resumption.on_restored("; ".join(filter(None, reasons)) or None)

        with states.restoring():
            progress = self._scratch / "progress"
            folder = states.write_progress(state, self.learning, progress)
        self.learning.begin_with(take_over)
        return folder

    def capture(self, writer: SegmentWriter) -> dict[str, Any]:
        """The state of model, optimiser, schedule, generators and all that is counted."""
        del writer  # no experience is kept from one batch to the next
        state = states.capture(self.learning, self._recorder, self._generators)
        return {**state, "beginning": self._beginning}

    @property
    def why_inexact(self) -> str | None:
        """None: a state is told between two batches, where nothing else is kept."""
        return None

    def evaluate(self, seeds: Sequence[int], *, deterministic: bool) -> list[Episode]:
        """Lead one held-out dialogue a seed; training is left as it was."""
        model = self.learning.accelerator.unwrap_model(self.learning.model)
        speech, settings = self._lesson.speech, self._settings
        with ExitStack() as stack:
            stack.enter_context(generators_restored())
            stack.enter_context(training_modes_restored(model))
            seed_generators(seeds[0] % 2**32)
            model.eval()
            speak = Speaker(model, speech, settings, self._tally, samples=not deterministic)
            budget = self._settings["max_completion_length"]
            return held_out_episodes(self._lesson.task, speech, speak, seeds, budget)

    def diagnostics(self) -> Mapping[str, Diagnostic]:
        """None: there is no further measurement for language models.

        Raises:
            UsageError: when one is asked for.
        """
        for name in self._config.diagnostics:
            raise UsageError(f"{name} is not measured for {self._config.algorithm}")
        return {}

    def save(self, paths: AttemptPaths) -> None:
        """Write model and tokenizer as one zip; unpacked it is a folder that loads anywhere."""
        save_model(self.learning.model, self._lesson.source.tokenizer, paths.model)
        self._tally.count += 1

    def activity(self) -> int:
        """Tokens and minibatches so far, and what was built and saved."""
        return self._tally.count

    def experience_bytes(self) -> int:
        """Bytes of one batch of completions, as token ids, masks and probabilities."""
        per_token = 8 + 8 + 8 + 4
        completions = generation_of(self._settings).completions
        return completions * int(self._settings["max_completion_length"]) * per_token

    def parameters_sha256(self) -> str:
        """SHA-256 of the parameters: sorted names and raw bytes."""
        return parameters_sha256(self.learning.model)

    def close(self) -> None:
        """Compute with as many threads as before, and leave nothing behind."""
        self._built = None
        self._undo.close()


def _of_folder(config: TrainerConfig, source: Source) -> TrainerConfig:
    """The run as the other processes are told of it: they load the model that was found here."""
    found = {**config.hyperparameters, "model_name": str(source.folder.absolute())}
    return replace(config, hyperparameters=found)


def _facts(processes: int) -> dict[str, float]:
    """What stays the same in every row: gradients are synchronised with every optimiser step."""
    facts: dict[str, float] = {names.ACCELERATE_SYNC: 1.0}
    if processes > 1:
        facts |= {
            names.DDP["num_processes"]: float(processes),
            names.DDP["process_index"]: 0.0,
            names.DDP["local_process_index"]: 0.0,
            names.DDP["sync_gradients"]: 1.0,
        }
    return facts
