import pickle

import pytest

from hw_profiles.faults import Fault, InputFaults, nearest, unknown_word

LAYERS = Fault(field="n_layers", got="0", allowed="1 or more", remedy="count the layers")
WIDTH = Fault(field="width", got="-1", allowed="1 or more", remedy="give the width")


def test_a_fault_reads_as_one_line():
    assert str(LAYERS) == "n_layers: got 0; allowed 1 or more; count the layers"


def test_faults_read_as_one_line_each_in_the_order_found():
    assert str(InputFaults([LAYERS, WIDTH])) == f"{LAYERS}\n{WIDTH}"


def test_faults_are_a_value_error_and_survive_a_process_border():
    copy = pickle.loads(pickle.dumps(InputFaults([LAYERS])))
    assert isinstance(copy, ValueError)
    assert copy.faults == [LAYERS]


@pytest.mark.parametrize(("word", "expected"), [("h80_sxm", "h800_sxm"), ("H20", "h20"), ("toaster", None)])
def test_the_nearest_word_is_named_if_one_is_close(word, expected):
    assert nearest(word, ["h800_sxm", "h20", "a100_sxm"]) == expected


def test_an_unknown_word_lists_the_known_in_alphabetical_order():
    assert str(unknown_word("kind", "leef", ["spine", "leaf"])) == (
        "kind: got 'leef'; allowed leaf, spine; did you mean 'leaf'?"
    )


def test_an_unknown_word_far_from_all_asks_for_an_allowed_one():
    assert unknown_word("kind", "xyz", ["leaf"]).remedy == "use one of the allowed words"
