"""Which problems a run asks, and in which order: drawn by its seed alone."""

from __future__ import annotations

from ...domain.seeds import SeedStream, stream_seeds
from ...tasks import generator


def training_problems(seed: int, different: int, asked: int) -> list[int]:
    """The seeds of `asked` problems: passes over the `different` ones, each in another order."""
    pool = stream_seeds(seed, SeedStream.PROMPTS, min(different, asked))
    rng = generator(seed)
    order: list[int] = []
    while len(order) < asked:
        order += rng.sample(pool, len(pool))
    return order[:asked]
