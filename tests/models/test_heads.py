"""From logits to probabilities and classes."""

import torch

from seepseg.models.heads import class_probs, predicted_classes

VALID = torch.ones(1, 1, 2, dtype=torch.bool)


def logits(*channels):
    return torch.tensor(channels, dtype=torch.float32).reshape(1, len(channels), 1, 2)


def test_softmax_probabilities_leave_background_out():
    probs = class_probs(logits([0.0, 0.0], [0.0, 100.0], [0.0, 0.0]), "softmax")
    torch.testing.assert_close(probs, logits([1 / 3, 1.0], [1 / 3, 0.0]))


def test_sigmoid_probabilities_are_per_class():
    torch.testing.assert_close(class_probs(logits([0.0, 100.0]), "sigmoid"), logits([0.5, 1.0]))


def test_softmax_predicts_the_largest():
    assert predicted_classes(logits([1.0, 0.0], [0.0, 0.0], [0.0, 1.0]), "softmax", VALID).tolist() == [[[0, 2]]]


def test_sigmoid_predicts_background_below_one_half():
    assert predicted_classes(logits([-0.1, 0.1], [-0.2, 0.2]), "sigmoid", VALID).tolist() == [[[0, 2]]]


def test_no_data_is_background():
    valid = torch.tensor([[[True, False]]])
    assert predicted_classes(logits([0.0, 0.0], [1.0, 1.0]), "softmax", valid).tolist() == [[[1, 0]]]
