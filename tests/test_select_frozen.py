"""Picks of other libraries, frozen: scikit-learn's 1,797 digits, float32, made on 2026-11-24.

apricot-select 0.6.1 (lazy greedy; facility location on "euclidean", feature-based with "sqrt"), scikit-matter 0.4.1
(`FPS`, first row 0), coreax 1.0.0 (`KernelHerding`, `SquaredExponentialKernel(length_scale=30)`).
"""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from datastill.kernels import RBF
from datastill.select import herding, k_center, similarity
from datastill.select.exemplars import exemplars
from datastill.select.greedy import maximise
from datastill.select.submodular import FacilityLocation, FeatureBased

FACILITY = [945, 392, 1507, 793, 1417, 1039, 97, 1107, 1075, 867, 360, 186]
FACILITY_GAINS = [384346, 250615, 224118, 166266, 127456, 122986, 109483, 93463, 67173, 55997, 54721]
FEATURES = [818, 1296, 732, 988, 629, 1747, 951, 235, 1375, 1205, 1572, 1766]
FEATURES_VALUE = 474.8732202131274
FARTHEST = [0, 623, 1275, 75, 889, 1643, 683, 1001, 1113, 1290, 1115, 1512]
HERDED = [923, 367, 1543, 1199, 434, 71, 638, 1417, 1509, 1215, 1343, 96]


@pytest.fixture(scope="module")
def digits():
    return load_digits().data.astype(np.float32)


def test_facility_location_picks_what_apricot_picks(digits):
    medoid, s = similarity.explained(digits)
    found = maximise(FacilityLocation(s), 12, first=[medoid])
    assert found.indices.tolist() == FACILITY
    np.testing.assert_allclose(found.gains[1:], FACILITY_GAINS, rtol=1e-4)
    assert exemplars(digits, 12).indices.tolist() == FACILITY


def test_feature_based_picks_what_apricot_picks(digits):
    found = maximise(FeatureBased(digits, "sqrt"), 12)
    assert found.indices.tolist() == FEATURES
    assert found.gains.sum() == pytest.approx(FEATURES_VALUE, rel=1e-12)


def test_k_center_picks_what_farthest_point_sampling_picks(digits):
    assert k_center(digits, 12, first=0).indices.tolist() == FARTHEST


def test_herding_picks_what_coreax_picks(digits):
    assert herding(digits, 12, RBF(30.0)).indices.tolist() == HERDED
