"""What a policy gets that draws its actions uniformly, measured before anything is trained."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces

from ..config.algorithms import is_language
from ..domain.errors import NonFiniteError
from ..domain.records import TrainerConfig
from ..domain.seeds import SeedStream, stream_seeds
from ..domain.verdicts import Floor
from .backend import check_extra
from .determinism import generators_restored, seed_generators
from .evaluation import Episode, RecurrentState, play
from .sb3.environments import evaluation_environment, register_environments

MOST_EPISODES = 100
ENOUGH_STEPS = 10_000
"""After which no further episodes begin: long ones tell their mean in fewer."""
EPISODES_AT_ONCE = 10


class RandomPolicy:
    """Draws every action uniformly from the space.

    Args:
        space: of single actions.
        seed: of the draws.
    """

    def __init__(self, space: spaces.Space[Any], seed: int) -> None:
        self._space = space
        self._space.seed(seed)

    def act(
        self,
        observations: Any,  # noqa: ARG002 - the interface of every policy
        state: RecurrentState | None,
        starts: np.ndarray,
        deterministic: bool,  # noqa: ARG002
    ) -> tuple[np.ndarray, RecurrentState | None]:
        """One action for each environment, whatever is observed."""
        return np.array([self._space.sample() for _ in starts]), state


def measure_floor(config: TrainerConfig) -> Floor:
    """Play episodes with random actions, on the environments that an evaluation plays.

    The same for the same configuration and seed; every generator is left as it was.

    Raises:
        NonFiniteError: when a return is a NaN or an infinity.
    """
    if is_language(config.algorithm):
        return _floor(_random_dialogues(config))
    register_environments(config)
    make = partial(evaluation_environment, config)
    seeds = stream_seeds(config.seed, SeedStream.FLOOR, MOST_EPISODES)
    with generators_restored():
        seed_generators(seeds[0])
        environment = make()
        policy = RandomPolicy(environment.action_space, seeds[0])
        environment.close()
        episodes: list[Episode] = []
        for first in range(0, MOST_EPISODES, EPISODES_AT_ONCE):
            some = seeds[first : first + EPISODES_AT_ONCE]
            episodes += play(policy, make, some, deterministic=False)
            if sum(episode.length for episode in episodes) >= ENOUGH_STEPS:
                break
    return _floor(episodes)


def _random_dialogues(config: TrainerConfig) -> list[Episode]:
    check_extra(config.algorithm)
    from .trl.episodes import random_episodes  # needs the extra

    return random_episodes(config, stream_seeds(config.seed, SeedStream.FLOOR, MOST_EPISODES))


def _floor(episodes: list[Episode]) -> Floor:
    returns = np.array([episode.reward_sum for episode in episodes])
    if not np.isfinite(returns).all():
        raise NonFiniteError("return of an episode with random actions", 0)
    return Floor(
        return_mean=float(returns.mean()),
        return_std=float(returns.std()),
        episodes=len(episodes),
        steps=sum(episode.length for episode in episodes),
    )
