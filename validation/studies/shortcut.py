"""Does it matter for the loss which state the MoE reads?"""

from validation.studies.plan import Plan
from validation.studies.study import Measure, Study, View

ARMS = {
    "none (position of a plain MoE)": Plan(n_steps=200, shortcut=None),
    "position 1 (after the first FFN)": Plan(n_steps=200, shortcut=1),
    "position 2 (after the first attention; LongCat)": Plan(n_steps=200, shortcut=2),
    "position 3 (input of the layer)": Plan(n_steps=200, shortcut=3),
}

SHORTCUT = Study(
    name="shortcut",
    title="Shortcut: loss against the position that the MoE reads",
    question=(
        "The shortcut lets the all-to-all run beside dense compute. Does reading an earlier state cost quality at "
        "equal tokens and equal parameters?"
    ),
    arms=ARMS,
    measures=[
        Measure(quantity="held_out_loss", statistic="last"), Measure(quantity="loss"), Measure(quantity="ffn_mean"),
        Measure(quantity="ffn_std"),
    ],
    views=[
        View(quantity="held_out_loss", title="Loss on held-out text", y_title="nats per byte"),
        View(quantity="loss", title="Loss on training batches", y_title="nats per byte"),
    ],
    shows=[
        "Whether the four positions differ by more than seeds do at this size; the report (section 2.2) finds the loss "
        "curves with and without its shortcut, position 2, indistinguishable.",
    ],
    cannot=[
        "Differences below the spread of three seeds, and those that appear only after trillions of tokens or in "
        "benchmarks.",
        "Speed: which position hides how much communication is the simulator's question (`longsim validate scmoe`).",
    ],
)  # fmt: skip
