"""Does a model stacked from a trained shallow one overtake one that starts at random?"""

from validation.studies.plan import Plan
from validation.studies.study import Measure, Study, View

_N_STEPS = 600
ARMS = {
    "random start, 4 layers": Plan(n_steps=_N_STEPS),
    "2 layers, stacked after a tenth": Plan(n_steps=_N_STEPS, grows_at=_N_STEPS // 10),
    "2 layers, stacked after a quarter": Plan(n_steps=_N_STEPS, grows_at=_N_STEPS // 4),
    "2 layers, stacked half-way": Plan(n_steps=_N_STEPS, grows_at=_N_STEPS // 2),
}

GROWTH = Study(
    name="growth",
    title="Growth: a stacked start against a random one",
    question=(
        "Two layers are trained first, then stacked twice (r = 2) and trained on with the same counter of samples, the "
        "same learning-rate schedule and the optimiser's moments (report, section 3.1.2: all training states are "
        "preserved). At equal tokens in all, does the stacked model end below the one that had four layers from the "
        "start?"
    ),
    arms=ARMS,
    measures=[Measure(quantity="held_out_loss", statistic="last"), Measure(quantity="loss")],
    views=[
        View(quantity="loss", title="Loss on training batches", y_title="nats per byte"),
        View(quantity="held_out_loss", title="Loss on held-out text", y_title="nats per byte"),
    ],
    shows=[
        "The rise of the loss at stacking and how fast it is made good.",
        "Which start is ahead at equal tokens; steps before stacking cost about half the compute of later ones.",
    ],
    cannot=[
        "The report's regime: tens of billions of tokens in a 14-layer model before stacking to 28, well below a "
        "hundredth of the 20 trillion that follow; a hundredth here would be six steps.",
        "Depth as such: two against four layers of bytes is not where depth begins to count.",
    ],
)
