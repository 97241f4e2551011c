"""Does the hidden z-loss keep the largest activations down?"""

from validation.studies.plan import Plan
from validation.studies.study import Measure, Study, View

_WEIGHTS = (0.0, 1e-5, 1e-4)
ARMS = {f"lambda {weight:g}" if weight else "no z-loss": Plan(n_steps=200, z_weight=weight) for weight in _WEIGHTS}

ACTIVATIONS = Study(
    name="activations",
    title="Activations: the hidden z-loss on and off",
    question=(
        "How large do activations before the final norm grow, and what does the hidden z-loss do to them and the loss?"
    ),
    arms=ARMS,
    measures=[
        Measure(quantity="largest_activation"), Measure(quantity="rms_activation"),
        Measure(quantity="held_out_loss", statistic="last"),
    ],
    views=[
        View(quantity="largest_activation", title="Largest activation", y_title="|z|", log_y=True),
        View(quantity="rms_activation", title="RMS of activations", y_title="RMS", log_y=True),
        View(quantity="held_out_loss", title="Loss on held-out text", y_title="nats per byte"),
    ],
    shows=["The largest activation with and without the loss, and whether the language-model loss pays for it."],
    cannot=[
        "Massive activations proper: they arise in large models over long trainings, and spoil low-precision formats.",
        "The report's lambda, which is not published.",
    ],
)  # fmt: skip
