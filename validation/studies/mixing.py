"""What do batches of one domain at a time do to bias, balance and budget?"""

from validation.studies.plan import Plan
from validation.studies.study import Measure, Study, View
from validation.studies.text import DOMAINS, Mix

_STEP_SIZES = (0.1, 0.3, 1.0)
_RECORDED = 0.3
_MIXES: tuple[Mix, ...] = ("mixed", "grouped")


def _plan(mix: Mix, step_size: float) -> Plan:
    return Plan(n_steps=200, mix=mix, step_size=step_size, record_every=1)


def _arm(mix: Mix, step_size: float) -> str:
    return f"{mix}, mu {step_size:g}"


ARMS = {_arm(mix, step_size): _plan(mix, step_size) for mix in _MIXES for step_size in _STEP_SIZES}

MIXING = Study(
    name="mixing",
    title="Mixing: domains drawn within a batch or batch by batch",
    question=(
        "Every batch holds prose and code at random (mixed), or each batch is all prose or all code (grouped). What "
        "does that do to the biases, to the balance of experts and to the budget, at three step sizes mu?"
    ),
    arms=ARMS,
    measures=[
        Measure(quantity="ffn_mean"), Measure(quantity="ffn_mean", statistic="wander"),
        Measure(quantity="hottest_expert"), Measure(quantity="hottest_device"), Measure(quantity="bias_std"),
        Measure(quantity="bias_std", statistic="wander"), Measure(quantity="bias_mean", statistic="wander"),
        Measure(quantity="held_out_loss", statistic="last"),
        *(Measure(quantity="held_out_loss", statistic="last", of=name) for name in DOMAINS),
    ],
    views=[
        View(quantity="ffn_mean", title="Mean FFN experts per token of each batch", y_title="experts", levels=(4.0,)),
        View(quantity="hottest_expert", title="Hottest expert over the mean, per batch", y_title="ratio"),
        View(quantity="bias_mean", title="Mean bias of FFN experts", y_title="probability"),
        View(quantity="bias_std", title="Spread of the biases over experts", y_title="probability"),
        View(quantity="held_out_loss", title="Loss on held-out text", y_title="nats per byte"),
    ],
    traces={f"mixing-{mix}": _arm(mix, _RECORDED) for mix in _MIXES},
    shows=[
        "How far the budget and the hottest expert of a batch move when the controller sees one domain at a time, and "
        "how the step size trades speed of settling against chasing the last batch (wander: standard deviation over "
        "the batches of the last quarter).",
    ],
    cannot=[
        "Training corpora: two domains with one alphabet stand for dozens of languages and fields.",
        "Global batches of tens of millions of tokens, in which even one domain's noise averages out.",
    ],
)  # fmt: skip
