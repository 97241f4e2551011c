"""At what epsilon does Adam begin to suffer?"""

from validation.studies.plan import Plan
from validation.studies.study import Measure, Study, Sweep, View

_EPSILONS = (1e-16, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
ARMS = {f"epsilon {epsilon:g}": Plan(n_steps=160, n_layers=2, epsilon=epsilon) for epsilon in _EPSILONS}
_LOSS = Measure(quantity="held_out_loss", statistic="last")
_SIZES = {
    "RMS, least of the parameters": Measure(quantity="gradient_rms_least"),
    "RMS, all weights together": Measure(quantity="gradient_rms"),
    "RMS, most of the parameters": Measure(quantity="gradient_rms_most"),
}
_PLACE = {name: ("loss", plan.epsilon) for name, plan in ARMS.items()}

EPSILON = Study(
    name="epsilon",
    title="Epsilon: AdamW from 1e-16 up to the size of the gradient",
    question="How does the loss depend on Adam's epsilon, and how does that compare with the RMS of the gradient?",
    arms=ARMS,
    measures=[_LOSS, *_SIZES.values()],
    views=[
        Sweep(measures={"": _LOSS}, title="Loss on held-out text at the end", x_title="epsilon",
              y_title="nats per byte", place=_PLACE),
        Sweep(measures=_SIZES, title="RMS of the gradient, last quarter", x_title="epsilon", y_title="RMS",
              place=_PLACE, log_y=True),
        View(quantity="held_out_loss", title="Loss on held-out text", y_title="nats per byte"),
    ],
    shows=[
        "From which epsilon on the loss suffers, beside the RMS of the gradient that Adam is given (clipped to norm "
        "1), of all weights together and of the parameters (matrices, gains of norms) where it is least and most.",
    ],
    cannot=[
        "Gradients of a large model with tiny learning signal per weight: their RMS comes down to the usual 1e-8, here "
        "it stays far above, so that 1e-8 and 1e-16 must agree.",
    ],
)  # fmt: skip
