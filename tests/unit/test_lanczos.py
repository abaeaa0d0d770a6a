"""The largest eigenvalue by products alone is the one that the whole matrix tells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src.experiments.training.sb3.lanczos import Eigenvalue, largest_eigenvalue

SIZE = 40


def symmetric(eigenvalues: np.ndarray, seed: int = 0) -> np.ndarray:
    """A symmetric matrix with these eigenvalues and eigenvectors at random."""
    rng = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))
    matrix = (vectors * eigenvalues) @ vectors.T
    return (matrix + matrix.T) / 2


def found(
    matrix: np.ndarray,
    *,
    tolerance: float = 1e-9,
    most_iterations: int = 1000,
    dtype: torch.dtype = torch.float64,
    start: torch.Tensor | None = None,
) -> Eigenvalue:
    whole = torch.tensor(matrix, dtype=dtype)
    if start is None:
        start = torch.randn(len(matrix), generator=torch.Generator().manual_seed(3), dtype=dtype)
    return largest_eigenvalue(
        lambda vector: whole @ vector, start, most_iterations=most_iterations, tolerance=tolerance
    )


@pytest.mark.parametrize("seed", range(10))
def test_it_is_the_largest_eigenvalue_of_a_matrix_at_random(seed: int) -> None:
    square = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    matrix = square + square.T
    eigenvalue = found(matrix)

    assert eigenvalue.is_converged
    assert eigenvalue.value == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-9)
    assert eigenvalue.residual <= 1e-9 * abs(eigenvalue.value)


@pytest.mark.parametrize(
    ("eigenvalues", "distinct"),
    [
        (-np.linspace(1, 9, SIZE), SIZE),
        (np.r_[-100.0, np.linspace(-1, 0.5, SIZE - 1)], SIZE),
        (np.full(SIZE, 7.0), 1),
        (np.zeros(SIZE), 1),
        (np.repeat([-3.0, 1.0, 4.0], [20, 10, 10]), 3),
        (np.r_[np.full(SIZE - 1, -2.0), 0.0], 2),
        (np.r_[np.zeros(SIZE - 1), 5.0], 2),
        (np.r_[np.zeros(SIZE - 1), -5.0], 2),
        (np.array([2.0]), 1),
    ],
    ids=[
        "negative definite",
        "small beside the one of largest size",
        "all the same",
        "all zero",
        "three that repeat",
        "negative semidefinite",
        "rank one",
        "rank one and negative",
        "of size one",
    ],
)
def test_it_is_the_one_furthest_to_the_right(eigenvalues: np.ndarray, distinct: int) -> None:
    matrix = symmetric(eigenvalues)
    eigenvalue = found(matrix)

    scale = np.abs(eigenvalues).max()
    assert eigenvalue.is_converged
    assert eigenvalue.value == pytest.approx(np.linalg.eigvalsh(matrix)[-1], abs=1e-9 * scale)
    assert eigenvalue.iterations <= distinct + 1


def test_single_precision_finds_it_to_single_precision() -> None:
    matrix = symmetric(np.linspace(-3, 2, SIZE))
    eigenvalue = found(matrix, tolerance=1e-4, dtype=torch.float32)

    assert eigenvalue.is_converged
    assert eigenvalue.value == pytest.approx(2.0, rel=1e-4)


def test_a_large_gap_takes_few_products() -> None:
    spread = np.random.default_rng(1).uniform(-1, 1, size=500)
    eigenvalue = found(symmetric(np.r_[spread, 50.0]), tolerance=1e-6)

    assert eigenvalue.value == pytest.approx(50.0, rel=1e-9)
    assert eigenvalue.iterations < 10


def test_vectors_stay_orthogonal_where_rounding_would_repeat_an_eigenvalue() -> None:
    eigenvalues = np.r_[np.geomspace(1e-8, 1, 60), 1e4]
    eigenvalue = found(symmetric(eigenvalues), tolerance=0.0)

    assert eigenvalue.value == pytest.approx(1e4, rel=1e-12)
    assert eigenvalue.iterations <= len(eigenvalues)


def test_too_few_products_are_told_with_how_far_it_may_be() -> None:
    eigenvalues = np.linspace(0, 1, 300)
    eigenvalue = found(symmetric(eigenvalues), most_iterations=4)

    assert (eigenvalue.is_converged, eigenvalue.iterations) == (False, 4)
    assert np.abs(eigenvalues - eigenvalue.value).min() <= eigenvalue.residual


def test_the_length_of_the_start_does_not_matter() -> None:
    matrix = symmetric(np.linspace(-1, 1, SIZE))
    start = torch.ones(SIZE, dtype=torch.float64)

    one, other = found(matrix, start=start), found(matrix, start=1024 * start)
    assert one == other


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_product_that_is_not_finite_is_an_error(wrong: float) -> None:
    matrix = symmetric(np.linspace(-1, 1, SIZE))
    matrix[3, 3] = wrong

    with pytest.raises(ArithmeticError, match="not finite"):
        found(matrix)
