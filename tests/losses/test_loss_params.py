"""The section `loss`: made of the registered losses, its messages, schedules; and a new loss is one class."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from loss_cases import make_params, random_batch, uniform_weights

from seepseg.base.errors import InputError
from seepseg.base.params import load_params, param_block
from seepseg.losses import LOSSES, SOFTMAX_ONLY, LossParams, build_loss, loss_name_at
from seepseg.losses.overlap import Dice
from seepseg.losses.registry import LossBlock, Positive, register_loss


def load(tmp_path, kind, section):
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps({"loss": section}))
    return load_params(kind, "loss", path)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_built_with_both_heads_or_says_which_it_needs(name, head):
    logits, target, valid = random_batch(head)
    if head == "sigmoid" and name in SOFTMAX_ONLY:
        with pytest.raises(InputError) as error:
            build_loss(name, LossParams(), head, uniform_weights())
        assert str(error.value).startswith(f"loss.name '{name}' needs model.head 'softmax', found 'sigmoid'")
    else:
        value = build_loss(name, LossParams(), head, uniform_weights())(logits, target, valid)
        assert value.shape == () and value > 0


def test_what_compares_the_classes_with_each_other_needs_a_softmax():
    assert {"ce", "weighted_ce", "topk", "dicece", "dicetopk"} == SOFTMAX_ONLY
    with pytest.raises(InputError, match=r"^loss.schedule 'ce' needs"):
        build_loss("ce", make_params(schedule=[["ce", 1]]), "sigmoid", {})


@pytest.fixture
def forget_squared():
    yield
    LOSSES.pop("squared", None)


@pytest.mark.usefixtures("forget_squared")
def test_a_loss_is_one_class(tmp_path):
    @register_loss("squared")
    @param_block
    class Squared(LossBlock):
        """Squared errors."""

        scale: Positive = 1.0

        def __call__(self, batch, params):
            squares = (batch.is_class.float() - batch.probs).square().mean(1)
            return self.scale * batch.mean_over_pixels(squares)

    @param_block
    @LOSSES.add_fields
    class Params(LossParams):
        """The section `loss`, with the new one."""

    params = load(tmp_path, Params, {"name": "squared", "squared": {"scale": 3.0}})
    assert params[Squared] == Squared(scale=3.0)
    logits, target = torch.logit(torch.tensor([0.8, 0.4])).view(1, 1, 1, 2), torch.tensor([[[1, 0]]])
    plain = build_loss(params.name, replace(params, binary_dice_weight=0.0), "sigmoid", {})
    assert plain(logits, target, target >= 0).item() == pytest.approx(3.0 * (0.2**2 + 0.4**2) / 2)
    with pytest.raises(InputError, match=r"loss.name: expected 'bce', .* or 'squared', found \"square\"; did you mean"):
        load(tmp_path, Params, {"name": "square"})
    with pytest.raises(InputError, match=r"loss.squared.scale: expected greater than 0, found 0.0"):
        load(tmp_path, Params, {"squared": {"scale": 0.0}})


def test_two_losses_cannot_have_one_name():
    with pytest.raises(ValueError, match="'dice'"):
        register_loss("dice")(Dice)


def test_the_section_has_a_block_for_each_loss_after_what_is_common():
    names = [field.name for field in fields(LossParams)]
    common = ["name", "reduction", "class_weights", "binary_dice_weight", "binary_surface_weight", "schedule"]
    assert names == [*common, *LOSSES]
    for name, kind in LOSSES.items():
        assert getattr(LossParams(), name) == LossParams()[kind] == kind()
        assert kind.__doc__.splitlines()[0].endswith(".")


def test_whatever_is_left_out_has_its_default(tmp_path):
    assert load(tmp_path, LossParams, {}) == LossParams()
    changed = load(tmp_path, LossParams, {"name": "focal_tversky", "focal_tversky": {"alpha": 0.7}})
    assert (changed.name, changed.schedule) == ("focal_tversky", ())
    assert asdict(changed)["focal_tversky"] == {"alpha": 0.7, "beta": 0.7, "exponent": 0.75, "smooth": 1.0}


def test_the_section_is_frozen_can_be_changed_in_a_copy_and_is_a_dict_on_demand():
    params = LossParams()
    with pytest.raises(AttributeError):
        params.name = "ce"
    changed = replace(params, reduction="flattened")
    assert (changed.reduction, params.reduction) == ("flattened", "per_class")
    assert asdict(changed) == asdict(params) | {"reduction": "flattened"}
    assert json.loads(json.dumps(asdict(changed)))["tversky"] == {"alpha": 0.3, "beta": 0.7, "smooth": 1.0}


def test_schedule_names_the_loss_of_each_epoch():
    scheduled = make_params(name="ce", schedule=[["dicebce", 2], ["focal_tversky", 3]])
    names = [loss_name_at(scheduled, epoch) for epoch in range(7)]
    assert names == ["dicebce"] * 2 + ["focal_tversky"] * 5
    assert loss_name_at(make_params(name="ce"), 3) == "ce"


def test_the_repository_has_valid_parameters():
    load_params(LossParams, "loss", Path(__file__).parents[2] / "params.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "dicecee"}, "loss.name: expected 'bce', 'ce', "),
        ({"name": "dicecee"}, "found \"dicecee\"; did you mean 'dicece'?"),
        ({"name": 3}, "loss.name: expected 'bce', 'ce', "),
        ({"schedule": [["dice", 0]]}, "loss.schedule.0.1: expected greater than or equal to 1, found 0"),
        ({"schedule": [["dyce", 3]]}, "did you mean 'dice'?"),
        ({"binary_dice_weight": True}, "loss.binary_dice_weight: expected a valid number, found true"),
        ({"binary_dice": 1.0}, "unknown key 'loss.binary_dice'; did you mean 'loss.binary_dice_weight'?"),
        ({"topk": {"fraction": 0.0}}, "loss.topk.fraction: expected greater than 0, found 0.0"),
        ({"tversky": {"alpha": 0.0}}, "loss.tversky.alpha: expected greater than 0, found 0.0"),
        (
            {"dicece": {"ce_weight": 1.5}},
            "loss.dicece.ce_weight: expected less than or equal to 1, found 1.5",
        ),
        ({"unified_focal": {"gamma": 1.0}}, "loss.unified_focal.gamma: expected less than 1, found 1.0"),
        ({"asymmetric_similarity": {"beta": 0.0}}, "loss.asymmetric_similarity.beta: expected greater than 0"),
        ({"hausdorff": {"alpha": True}}, "loss.hausdorff.alpha: expected a valid number, found true"),
        ({"dice": {"smoth": 1.0}}, "unknown key 'loss.dice.smoth'; did you mean 'loss.dice.smooth'?"),
        ({"dice": 1.0}, "loss.dice: expected a block of keys, found 1.0"),
    ],
)
def test_wrong_parameters_are_named(tmp_path, changes, message):
    with pytest.raises(InputError) as error:
        load(tmp_path, LossParams, changes)
    assert message in str(error.value)
