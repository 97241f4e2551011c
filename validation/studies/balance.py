"""What does the device-level balance loss add to the controller, and how large may alpha be?"""

from dataclasses import replace

from validation.studies.plan import Plan
from validation.studies.study import Measure, Study, View

_PLAN = Plan(n_steps=200, n_layers=2)
ARMS = {
    "controller alone": _PLAN,
    "alpha for R_g = 0.1": replace(_PLAN, gradient_ratio=0.1),
    "alpha for R_g = 1": replace(_PLAN, gradient_ratio=1.0),
    "alpha for R_g = 10": replace(_PLAN, gradient_ratio=10.0),
}

BALANCE = Study(
    name="balance",
    title="Balance: the device-level loss over eight groups of experts",
    question=(
        "The controller evens experts out over batches. Does the device-level loss even out the eight devices within "
        "each sequence, and what does it cost in loss, with alpha chosen anew every ten steps so that the gradient "
        "ratio R_g of the worst layer has a given value?"
    ),
    arms=ARMS,
    measures=[
        Measure(quantity="hottest_device"), Measure(quantity="hottest_expert"), Measure(quantity="ffn_mean"),
        Measure(quantity="ffn_std"), Measure(quantity="alpha"), Measure(quantity="gradient_ratio"),
        Measure(quantity="similarity"), Measure(quantity="held_out_loss", statistic="last"),
    ],
    views=[
        View(quantity="hottest_device", title="Hottest device over the mean, per sequence", y_title="ratio"),
        View(quantity="hottest_expert", title="Hottest expert over the mean, per batch", y_title="ratio"),
        View(quantity="alpha", title="alpha chosen", y_title="alpha", log_y=True),
        View(quantity="similarity", title="Mean cosine similarity of router rows", y_title="cosine"),
        View(quantity="held_out_loss", title="Loss on held-out text", y_title="nats per byte"),
    ],
    shows=[
        "How much of the imbalance of devices within a sequence is left by the controller, and how much of it the loss "
        "takes away as R_g rises.",
        "What alpha the report's rule (R_g below a small threshold, such as 0.1) comes to on this model.",
    ],
    cannot=[
        "Sequences of 64 bytes are short: part of their imbalance is chance, which longer ones do not have.",
        "A fixed alpha over a long training, and specialisation of experts that only large models show.",
    ],
)  # fmt: skip
