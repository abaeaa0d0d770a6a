"""Training processes do without PyTorch's compiler, and compute the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STEPS = """
import hashlib, json, sys
import torch
if sys.argv[1] == "spared":
    from src.experiments.training.sb3.compiler import spare_compiler
    spare_compiler()

def trained(kind, **settings):
    torch.manual_seed(3)
    net = torch.nn.Linear(4, 2)
    optimizer = kind(net.parameters(), lr=0.01, **settings)
    for _ in range(5):
        optimizer.zero_grad()
        net(torch.ones(3, 4)).square().sum().backward()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    weights = b"".join(p.detach().numpy().tobytes() for p in net.parameters())
    return hashlib.sha256(weights).hexdigest(), torch.is_grad_enabled()

kinds = (torch.optim.Adam, torch.optim.RMSprop, torch.optim.SGD, torch.optim.AdamW)
told = {kind.__name__: trained(kind) for kind in kinds}
told["foreach"] = trained(torch.optim.Adam, foreach=True)
loaded_before = "torch._dynamo" in sys.modules
import torch._dynamo
told["with the compiler"] = trained(torch.optim.Adam)
print(json.dumps([loaded_before, told]))
"""


def steps(how):
    command = [sys.executable, "-c", STEPS, how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def plain_and_spared():
    return steps("plain"), steps("spared")


@pytest.mark.slow
def test_no_optimiser_imports_the_compiler(plain_and_spared):
    (plain, _), (spared, _) = plain_and_spared

    assert plain  # else there is nothing to spare, and the module can go
    assert not spared


@pytest.mark.slow
def test_every_optimiser_makes_the_same_steps(plain_and_spared):
    (_, plain), (_, spared) = plain_and_spared

    assert spared == plain


@pytest.mark.slow
def test_the_warm_server_does_not_import_the_compiler():
    code = "import sys, src.experiments.training.warmup; sys.exit('torch._dynamo' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
