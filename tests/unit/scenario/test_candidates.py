import pytest

from hw_profiles.faults import InputFaults
from simulator.candidates import axes_of, candidates

SCENARIO = "longcat-flash-decode-h800x128"


def faults(function, *arguments):
    with pytest.raises(InputFaults) as error:
        function(*arguments)
    return [str(fault) for fault in error.value.faults]


def test_values_stand_in_their_order_and_brackets_keep_their_commas():
    assert axes_of(["layout.ep = 64, 128", "mtp.acceptance=[0.8,0.5],[0.9]"]) == {
        "layout.ep": ["64", "128"], "mtp.acceptance": ["[0.8,0.5]", "[0.9]"],
    }  # fmt: skip


@pytest.mark.parametrize("text", ["layout.ep", "layout.ep=", "=1,2", "layout.ep=1,,2", ""])
def test_a_text_that_is_no_axis_is_a_fault(text):
    (fault,) = faults(axes_of, [text])
    assert fault.startswith(f"--vary: got {text!r}; allowed KEY=A,B,C")


def test_every_fault_of_the_axes_is_named():
    found = faults(axes_of, ["seed=1", "seed=2", "n_gpus=8,8", "schedule=sbo"], ["schedule=tbo"])
    assert [fault.partition(";")[0] for fault in found] == [
        "--vary: got 'seed' twice", "--vary: got n_gpus=8 twice", "--vary: got 'schedule', which --set sets too",
    ]  # fmt: skip


def test_too_many_combinations_are_counted():
    ten = ",".join(map(str, range(11)))
    (fault,) = faults(axes_of, [f"{key}={ten}" for key in ("seed", "n_gpus", "layout.ep")])
    assert fault == "--vary: got 1,331 combinations; allowed at most 1,000; vary fewer keys or values"


def test_every_combination_is_a_candidate_the_last_key_changing_fastest():
    found = candidates(SCENARIO, {"layout.ep": ["64", "128"], "schedule": ["sbo", "tbo"]})
    assert [c.name for c in found] == [
        "ep=64 schedule=sbo", "ep=64 schedule=tbo", "ep=128 schedule=sbo", "ep=128 schedule=tbo",
    ]  # fmt: skip
    assert [c.scenario.layout.ep for c in found] == [64, 64, 128, 128]
    assert found[1].chosen == {"layout.ep": "64", "schedule": "tbo"}


def test_keys_that_end_alike_keep_their_whole_name():
    axes = {"model_overrides.n_layers": ["28"], "model_overrides.mtp.n_layers": ["1"]}
    assert candidates(SCENARIO, axes)[0].name == "model_overrides.n_layers=28 model_overrides.mtp.n_layers=1"


def test_a_number_that_does_not_fit_is_a_candidate_with_its_reason():
    fits, too_wide = candidates(SCENARIO, {"layout.ep": ["128", "256"]})
    assert fits.scenario is not None
    assert too_wide.scenario is None
    assert too_wide.reason.startswith("layout.ep: got 256; allowed 1, 2, 4,")


@pytest.mark.parametrize(
    ("key", "values", "fault"),
    [
        ("layout.epp", ["8"], "layout.epp: got 'epp'"),
        ("layout.ep", ["64", "many"], "layout.ep: got 'many'"),
        ("schedule", ["sbo", "sbq"], "schedule: got 'sbq'"),
        ("layout.ep", ["12"], "layout.ep: got 12"),
    ],
)
def test_a_value_that_fits_nowhere_is_a_mistake(key, values, fault):
    found = faults(candidates, SCENARIO, {key: values})
    assert found[0].startswith(fault)
    assert len(found) == len(set(found))


def test_a_word_that_fits_beside_another_value_is_no_mistake():
    """Mixtral has no shortcut, so that SBO is nothing for it; LongCat has."""
    axes = {"model": ["longcat_flash", "mixtral_8x7b"], "schedule": ["sbo"], "layout.ep": ["8"]}
    found = candidates(SCENARIO, axes, ["mtp.n_draft=0"])
    assert [c.scenario is not None for c in found] == [True, False]
    assert "schedule: got 'sbo'" in found[1].reason
