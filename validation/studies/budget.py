"""Does the expert-bias controller bring FFN experts per token to K_e, and what happens without it?"""

from dataclasses import replace

from validation.studies.plan import Plan
from validation.studies.study import Bar, Measure, Study, View
from validation.studies.text import CLASSES

_PLAN = Plan(n_steps=600, step_size=0.8, decay_batches=600.0)
_MEAN = Measure(quantity="ffn_mean", layers="each")
ARMS = {
    "controller": _PLAN,
    "no controller": replace(_PLAN, step_size=0.0),
}

BUDGET = Study(
    name="budget",
    title="Budget: FFN experts per token with and without the controller",
    question=(
        "32 routed and 16 zero-computation experts, 6 choices per token, K_e = 4. A small ScMoE language model learns "
        "bytes of prose and code. Does the controller hold the mean number of FFN experts per token at K_e in every "
        "layer, and where does it go without?"
    ),
    arms=ARMS,
    measures=[
        _MEAN, Measure(quantity="ffn_std", layers="each"), Measure(quantity="ffn_mean", statistic="first"),
        *(Measure(quantity="ffn_mean", of=name) for name in CLASSES),
        *(Measure(quantity="ffn_std", of=name) for name in CLASSES),
        *(Measure(quantity="activated_parameters", of=name) for name in ("", *CLASSES)),
        Measure(quantity="hottest_expert"), Measure(quantity="held_out_loss", statistic="last"),
    ],
    views=[
        View(quantity="ffn_mean", title="Mean FFN experts per token (band: layers and seeds)", y_title="experts",
             levels=(4.0,)),
        View(quantity="ffn_std", title="Standard deviation over tokens", y_title="experts"),
        *(View(quantity="ffn_mean", of=name, title=f"Mean FFN experts of tokens that are {word}", y_title="experts",
               levels=(4.0,)) for name, word in zip(CLASSES, ("letters", "digits", "white space", "punctuation"),
                                                    strict=True)),
        View(quantity="activated_parameters", title="Parameters that a token activates", y_title="parameters"),
        View(quantity="held_out_loss", title="Loss on held-out text", y_title="nats per byte"),
    ],
    shows=[
        "Whether integral control of the selection bias alone holds the budget in every layer while the router learns, "
        "and how wide the number of FFN experts spreads over tokens around that mean.",
        "Which kinds of bytes take more experts and which fewer under one budget.",
    ],
    cannot=[
        "Words: tokens are bytes, and the report's pattern by word class (layer 1 against 28) has no counterpart.",
        "The report's settling over billions of tokens: here it is 600,000 bytes, seen in two domains only.",
        "The quality that zero-computation experts buy at equal activated parameters; that needs models that saturate.",
    ],
    traces={"budget-controlled": "controller", "budget-free": "no controller"},
    bars=[Bar(arm="controller", measure=_MEAN, target=4.0, tolerance=0.01)],
)  # fmt: skip
