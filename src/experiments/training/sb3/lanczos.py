"""The largest eigenvalue of a symmetric matrix that is known by its products with vectors alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

Product = Callable[[torch.Tensor], torch.Tensor]
"""A vector of shape (n,) to the matrix times it."""

ROUNDING = {torch.float32: 1e-6, torch.float64: 1e-14}
"""What products of these vectors leave of a number, relative to the largest eigenvalue in size."""


@dataclass(frozen=True)
class Eigenvalue:
    """What the iterations came to."""

    value: float
    """The largest eigenvalue, the one furthest to the right: negative where all of them are."""
    iterations: int
    """Products of the matrix with a vector."""
    residual: float
    """An eigenvalue is no further than this from `value`."""
    is_converged: bool


def largest_eigenvalue(
    product: Product, start: torch.Tensor, *, most_iterations: int, tolerance: float
) -> Eigenvalue:
    """The method of Lanczos (J. Res. Nat. Bur. Standards 45, 1950), reorthogonalised in full.

    After k products the matrix A is a tridiagonal T = VᵀAV on the k orthonormal vectors V, whose
    largest eigenvalue θ = sᵀTs approaches the one of A from below. ‖AVs - θVs‖ = β_k |s_k|, which
    bounds the distance to an eigenvalue of A (Parlett, The Symmetric Eigenvalue Problem, 13.2).
    Rounding costs the vectors their orthogonality, so each is made orthogonal to all before it.

    Args:
        product: multiplies the symmetric matrix with a vector.
        start: any vector that is not zero; one at random has a share of every eigenvector.
        most_iterations: how many products are made at most.
        tolerance: the residual, relative to the value, at which it counts as found.

    Raises:
        ArithmeticError: when a product is not finite.
    """
    basis = [start / torch.linalg.vector_norm(start)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        image = product(basis[-1])
        diagonal.append(float(torch.dot(basis[-1], image)))
        rest = _orthogonal(image, basis)
        beside.append(float(torch.linalg.vector_norm(rest)))
        if not (math.isfinite(diagonal[-1]) and math.isfinite(beside[-1])):
            raise ArithmeticError("a product of the matrix with a vector is not finite")
        value, last, scale = _largest_of_tridiagonal(diagonal, beside[:-1])
        residual = beside[-1] * last
        wanted = max(tolerance * abs(value), ROUNDING[start.dtype] * scale)
        is_converged = residual <= wanted or len(basis) == len(start)
        if is_converged or len(basis) >= most_iterations:
            return Eigenvalue(value, len(basis), residual, is_converged)
        basis.append(rest / beside[-1])


def _orthogonal(vector: torch.Tensor, basis: list[torch.Tensor]) -> torch.Tensor:
    """A vector without its parts along orthonormal ones; the second pass takes what rounding left.

    Twice is enough (Parlett, 6.9).
    """
    for _ in range(2):
        for each in basis:
            vector = vector - torch.dot(each, vector) * each
    return vector


def _largest_of_tridiagonal(
    diagonal: list[float], beside: list[float]
) -> tuple[float, float, float]:
    """Its largest eigenvalue, the size of its eigenvector's last part, and of all eigenvalues."""
    matrix = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    values, vectors = np.linalg.eigh(matrix)
    return float(values[-1]), abs(float(vectors[-1, -1])), float(np.abs(values).max())
