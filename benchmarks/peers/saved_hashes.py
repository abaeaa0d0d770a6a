"""Prints the parameters' SHA of every model that rl_zoo3 left under a folder, as JSON.

Its log folders are named after the runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bare_sb3 import sha256
from stable_baselines3 import PPO

if __name__ == "__main__":
    models = Path(sys.argv[1]).glob("*/ppo/CartPole-v1_1/CartPole-v1.zip")
    print(json.dumps({model.parents[2].name: sha256(PPO.load(model)) for model in models}))
