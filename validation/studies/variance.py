"""What do the scale factors alpha (latents of MLA) and gamma (split experts) do?"""

from dataclasses import replace

from validation.studies.plan import Plan
from validation.studies.study import Measure, Study, Sweep

_WIDTHS = (24, 48, 96)
_SPLITS = (1, 2, 4)
_PLAN = Plan(n_steps=100, n_layers=2, watches_variance=True)
_WHOLE = replace(_PLAN, n_routed_experts=16, n_zero_experts=0, top_k=4, mean_ffn_experts=4.0, step_size=0.0)
_ON = {"on": True, "off": False}
_WIDTH_ARMS = {
    f"alpha {word}, width {width}": replace(_PLAN, hidden=width, scale_latents=on)
    for word, on in _ON.items() for width in _WIDTHS
}  # fmt: skip
_SPLIT_ARMS = {
    f"gamma {word}, split {splits}": replace(_WHOLE, n_splits=splits, compensates=on)
    for word, on in _ON.items() for splits in _SPLITS
}  # fmt: skip


def _by_width(measure: Measure, title: str, y_title: str, *, log_y: bool = False) -> Sweep:
    place = {name: (name.split(",")[0], float(plan.hidden)) for name, plan in _WIDTH_ARMS.items()}
    return Sweep(measures={"": measure}, title=title, x_title="width", y_title=y_title, place=place, log_y=log_y)


def _by_split(measure: Measure, title: str, y_title: str, *, log_y: bool = False) -> Sweep:
    place = {name: (name.split(",")[0], float(plan.n_splits)) for name, plan in _SPLIT_ARMS.items()}
    return Sweep(measures={"": measure}, title=title, x_title="splits of each expert", y_title=y_title, place=place,
                 log_y=log_y)  # fmt: skip


_LOGITS = Measure(quantity="logit_variance", statistic="first")
_OUTPUTS = Measure(quantity="moe_variance", statistic="first")
_LOSS = Measure(quantity="held_out_loss", statistic="last")

VARIANCE = Study(
    name="variance",
    title="Variance: alpha over widths, gamma over splits",
    question=(
        "With weights transferred over widths (variance / s), do alpha_q and alpha_kv keep the variance of attention "
        "logits where latents stay narrow, and does gamma = m keep the variance of MoE outputs when each expert is "
        "split into m? Does either show in the loss?"
    ),
    arms=_WIDTH_ARMS | _SPLIT_ARMS,
    measures=[_LOGITS, _OUTPUTS, _LOSS],
    views=[
        _by_width(_LOGITS, "Variance of attention logits at the start", "variance", log_y=True),
        _by_width(_LOSS, "Loss on held-out text at the end", "nats per byte"),
        _by_split(_OUTPUTS, "Variance of MoE outputs at the start", "variance", log_y=True),
        _by_split(_LOSS, "Loss on held-out text at the end", "nats per byte"),
    ],
    shows=[
        "The scaling of both variances at initialisation, on and off; latents are 24 and 16 wide at every width.",
        "Whether a hundred steps of training see it.",
    ],
    cannot=[
        "Gains in quality: a small model trains through variances that are off by such factors.",
        "The split study has no zero-computation experts: gamma would scale their share of a token's state too.",
    ],
)
