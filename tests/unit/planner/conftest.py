"""Small questions: Mixtral on H100."""

import pytest

from simulator.planner.load import load_of
from simulator.planner.plan_files import build_question
from simulator.planner.workshop import Workshop


@pytest.fixture
def question_of():
    def make(**changes):
        tables = {
            "model": "mixtral_8x7b", "machines": ["h100_sxm"], "n_gpus": [8],
            "traffic": {"prompt": "fixed:2000", "output": "fixed:200"},
            "targets": {"ttft_s": 2.0, "tpot_s": 0.04},
        }  # fmt: skip
        for key, value in changes.items():
            tables[key] = {**tables[key], **value} if isinstance(tables.get(key), dict) else value
        return build_question(tables)

    return make


@pytest.fixture
def shop_of(question_of):
    def make(**changes):
        question = question_of(**changes)
        return Workshop(question, question.machines[0], load_of(question))

    return make
