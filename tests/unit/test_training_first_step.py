"""The server that forks training processes must not start CUDA: no child could use it."""

import pytest
import torch

from src.experiments.training.sb3.first_step import warm_up


@pytest.fixture
def questions(monkeypatch):
    """What torch was asked about accelerators."""
    asked = []

    def noting(name):
        return lambda *args, **kwargs: asked.append(name)

    monkeypatch.setattr(torch.accelerator, "current_accelerator", noting("accelerator"))
    monkeypatch.setattr(torch.cuda, "is_available", noting("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", noting("devices"))
    return asked


def test_an_optimiser_s_step_asks_for_an_accelerator(questions):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight])
    weight.grad = torch.ones(1)
    optimizer.step()

    assert questions != []


def test_the_warm_up_asks_nothing(questions):
    warm_up()

    assert questions == []


def test_the_warm_up_leaves_torch_as_it_was():
    before = (torch.accelerator.current_accelerator, torch.cuda.is_available)
    warm_up()

    assert (torch.accelerator.current_accelerator, torch.cuda.is_available) == before
