"""What a configuration may name, and the ranges in which a value makes sense.

Names are mapped to `module:Class` and imported by training alone; nothing else is ever imported
for a configuration's sake.
"""

from __future__ import annotations

from dataclasses import dataclass

ACTIVATIONS = {
    name: f"torch.nn:{name}"
    for name in (
        "ReLU", "Tanh", "ELU", "GELU", "LeakyReLU", "SELU", "SiLU", "Sigmoid", "Softplus",
        "Softsign", "Mish", "CELU", "Hardtanh", "ReLU6", "Identity",
    )
}  # fmt: skip
OPTIMIZERS = {
    name: f"torch.optim:{name}"
    for name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD", "Adagrad")
} | {
    "RMSpropTFLike": "stable_baselines3.common.sb2_compat.rmsprop_tf_like:RMSpropTFLike",
}
FEATURE_EXTRACTORS = {
    name: f"stable_baselines3.common.torch_layers:{name}"
    for name in ("FlattenExtractor", "NatureCNN", "CombinedExtractor")
}
CLASSES = {
    "activation_fn": ACTIVATIONS,
    "optimizer_class": OPTIMIZERS,
    "features_extractor_class": FEATURE_EXTRACTORS,
}
"""Settings of `policy_kwargs` that are classes in the library and names in a file."""

ACTION_NOISES = {
    "normal": "stable_baselines3.common.noise:NormalActionNoise",
    "ornstein-uhlenbeck": "stable_baselines3.common.noise:OrnsteinUhlenbeckActionNoise",
}
ACTION_NOISE_KEYS = {
    "normal": {"mean": 0.0, "sigma": None},
    "ornstein-uhlenbeck": {"mean": 0.0, "sigma": None, "theta": 0.15, "dt": 1e-2},
}
"""Settings of an action noise with their defaults; None has to be given."""

GYMNASIUM_WRAPPERS = (
    "ClipAction",
    "ClipReward",
    "DelayObservation",
    "DiscretizeAction",
    "DiscretizeObservation",
    "FilterObservation",
    "FlattenObservation",
    "FrameStackObservation",
    "GrayscaleObservation",
    "MaxAndSkipObservation",
    "RepeatAction",
    "RescaleAction",
    "RescaleObservation",
    "ReshapeObservation",
    "ResizeObservation",
    "StickyAction",
    "TimeAwareObservation",
    "TimeLimit",
)
LIBRARY_WRAPPERS = {
    "AtariWrapper": "stable_baselines3.common.atari_wrappers:AtariWrapper",
    "MaxAndSkipEnv": "stable_baselines3.common.atari_wrappers:MaxAndSkipEnv",
    "TimeFeatureWrapper": "sb3_contrib.common.wrappers:TimeFeatureWrapper",
}
LIBRARY_WRAPPER_KEYS = {
    "AtariWrapper": frozenset(
        {
            "noop_max",
            "frame_skip",
            "screen_size",
            "terminal_on_life_loss",
            "clip_reward",
            "action_repeat_probability",
        }
    ),
    "MaxAndSkipEnv": frozenset({"skip"}),
    "TimeFeatureWrapper": frozenset({"max_steps"}),
}
WRAPPERS = {name: f"gymnasium.wrappers:{name}" for name in GYMNASIUM_WRAPPERS} | LIBRARY_WRAPPERS
"""Wrappers without a state of their own that a resumed run would lose."""

DIAGNOSTICS = {
    "curvature": (
        "PPO", "A2C", "TRPO", "DQN", "QRDQN", "SAC", "TD3", "DDPG", "TQC", "CrossQ",
    ),
}  # fmt: skip
"""Further measurements during training, and the algorithms that offer them."""

OWNED_HYPERPARAMETERS = {
    "policy": "set it beside 'hyperparameters' as 'policy'",
    "env": "set 'environment' beside 'hyperparameters'",
    "seed": "set 'seed' beside 'hyperparameters', or 'seeds' for the experiment",
    "device": "set 'device' beside 'hyperparameters'",
    "tensorboard_log": "use the tracker 'tensorboard'",
    "verbose": "use the option --verbose",
    "_init_setup_model": "it cannot be set",
    "monitor_wrapper": "it cannot be set",
    "n_envs": "set 'n_envs' beside 'hyperparameters'",
    "normalize": "set 'normalize' beside 'hyperparameters'",
    "env_wrapper": "set 'wrappers' beside 'hyperparameters'",
    "total_timesteps": "set 'training_steps' beside 'hyperparameters'",
    "n_timesteps": "set 'training_steps' beside 'hyperparameters'",
    "max_steps": "set 'training_steps' beside 'hyperparameters'",
    "num_train_epochs": "set 'training_steps' beside 'hyperparameters'",
    "save_steps": "set 'checkpoint': {'frequency': …} for the experiment",
    "loss_type": "the algorithm decides it: GRPO or DR_GRPO",
    "scale_rewards": "the algorithm decides it: GRPO or DR_GRPO",
    "report_to": "use 'trackers'",
    "use_cpu": "set 'device' beside 'hyperparameters'",
}
"""Arguments that the product sets itself, and where they belong instead."""

OWNED_ENVIRONMENT_KWARGS = {
    "render_mode": "training shows nothing; leave it out",
    "id": "set 'environment' instead",
}
LOADS_OTHER_CODE = ("GymV21Environment", "GymV26Environment")
"""Environments that import whatever their arguments name."""


@dataclass(frozen=True)
class Range:
    """An interval of numbers; None is open."""

    low: float | None = None
    high: float | None = None
    open_low: bool = False

    def problem(self, value: float) -> str | None:
        """What is wrong with a value, or None."""
        if self.low is not None and (value < self.low or (self.open_low and value == self.low)):
            return f"must be {'greater than' if self.open_low else 'at least'} {self.low:g}"
        if self.high is not None and value > self.high:
            return f"must be at most {self.high:g}"
        return None


POSITIVE = Range(0.0, open_low=True)
NOT_NEGATIVE = Range(0.0)
COUNT = Range(1)
SHARE = Range(0.0, 1.0)
POSITIVE_SHARE = Range(0.0, 1.0, open_low=True)
ANY = Range()

RANGES = {
    "adam_beta1": Range(0.0, 0.9999),
    "adam_beta2": Range(0.0, 0.99999),
    "adam_epsilon": POSITIVE,
    "alive_bonus_offset": ANY,
    "batch_norm_eps": POSITIVE,
    "batch_norm_momentum": SHARE,
    "batch_size": COUNT,
    "beta": NOT_NEGATIVE,
    "buffer_size": COUNT,
    "cg_damping": NOT_NEGATIVE,
    "cg_max_steps": COUNT,
    "clip_mean": NOT_NEGATIVE,
    "clip_range": POSITIVE,
    "clip_range_vf": POSITIVE,
    "delta": POSITIVE,
    "delta_std": POSITIVE,
    "ent_coef": NOT_NEGATIVE,
    "entropy_coef": NOT_NEGATIVE,
    "epsilon": POSITIVE_SHARE,
    "epsilon_high": POSITIVE,
    "exploration_final_eps": SHARE,
    "exploration_fraction": POSITIVE_SHARE,
    "exploration_initial_eps": SHARE,
    "gae_lambda": SHARE,
    "gamma": SHARE,
    "generation_batch_size": Range(2),
    "gradient_accumulation_steps": COUNT,
    "gradient_steps": Range(-1),
    "learning_rate": Range(0.0, 10.0, open_low=True),
    "learning_starts": NOT_NEGATIVE,
    "line_search_max_iter": COUNT,
    "line_search_shrinking_factor": POSITIVE_SHARE,
    "log_std_init": ANY,
    "lstm_hidden_size": Range(1, 16_384),
    "max_completion_length": Range(2, 1_000_000),  # something said, and the end of the turn
    "max_grad_norm": POSITIVE,
    "max_prompts": Range(1, 10_000_000),
    "min_p": SHARE,
    "n_critic_updates": COUNT,
    "n_critics": Range(1, 100),
    "n_delta": COUNT,
    "n_epochs": COUNT,
    "n_eval_episodes": COUNT,
    "n_lstm_layers": Range(1, 100),
    "n_quantiles": Range(1, 10_000),
    "n_steps": COUNT,
    "n_top": COUNT,
    "num_generations": Range(2, 4096),
    "num_iterations": Range(1, 100),
    "per_device_train_batch_size": COUNT,
    "policy_delay": COUNT,
    "processes": Range(1, 8),
    "renorm_warmup_steps": NOT_NEGATIVE,
    "repetition_penalty": POSITIVE,
    "rms_prop_eps": POSITIVE,
    "sde_sample_freq": Range(-1),
    "stats_window_size": COUNT,
    "steps_per_generation": COUNT,
    "sub_sampling_factor": COUNT,
    "target_entropy": ANY,
    "target_kl": POSITIVE,
    "target_noise_clip": NOT_NEGATIVE,
    "target_policy_noise": NOT_NEGATIVE,
    "target_update_interval": COUNT,
    "tau": POSITIVE_SHARE,
    "temperature": Range(0.0, 100.0, open_low=True),
    "top_entropy_quantile": POSITIVE_SHARE,
    "top_k": NOT_NEGATIVE,
    "top_p": POSITIVE_SHARE,
    "top_quantiles_to_drop_per_net": NOT_NEGATIVE,
    "vf_coef": NOT_NEGATIVE,
    "warmup_steps": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
}
"""Where a number makes sense; the library itself takes almost anything silently."""

NEVER_ZERO = {"gradient_steps", "sde_sample_freq"}
"""-1 has a meaning of its own, 0 would silently do nothing."""

CHOICES = {
    "dtype": ("float32", "bfloat16"),
    "importance_sampling_level": ("token", "sequence"),
    "lr_scheduler_type": (
        "linear", "constant", "constant_with_warmup", "cosine", "polynomial", "inverse_sqrt",
    ),
}  # fmt: skip
"""Hyperparameters that are one of a few words."""

WIDEST_LAYER = 16_384
MOST_LAYERS = 32
