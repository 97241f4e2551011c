"""The studies by name."""

from collections.abc import Mapping

from validation.studies.activations import ACTIVATIONS
from validation.studies.balance import BALANCE
from validation.studies.budget import BUDGET
from validation.studies.epsilon import EPSILON
from validation.studies.growth import GROWTH
from validation.studies.mixing import MIXING
from validation.studies.shortcut import SHORTCUT
from validation.studies.study import Study
from validation.studies.variance import VARIANCE

STUDIES: Mapping[str, Study] = {
    study.name: study for study in (BUDGET, MIXING, BALANCE, SHORTCUT, GROWTH, EPSILON, VARIANCE, ACTIVATIONS)
}
