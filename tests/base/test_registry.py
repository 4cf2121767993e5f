"""Blocks that register under a name: a field for each, and a choice among their names."""

from typing import Annotated

import pytest
from annotated_types import Ge
from pydantic import ValidationError

from seepseg.base.errors import InputError
from seepseg.base.params import load_params, param_block
from seepseg.base.registry import OneOf, Registry

SHAPES: Registry[object] = Registry()


@SHAPES.register("square")
@param_block
class Square:
    side: Annotated[int, Ge(1)] = 3


@SHAPES.register("circle")
@param_block
class Circle:
    radius: float = 1.0


@param_block
@SHAPES.add_fields
class Drawing:
    name: Annotated[str, OneOf(SHAPES)] = "square"
    more: tuple[Annotated[str, OneOf(SHAPES)], ...] = ()


def test_every_block_is_a_field_after_those_of_the_class_itself():
    assert Drawing.__slots__ == ("name", "more", "square", "circle")
    assert Drawing() == Drawing(name="square", more=(), square=Square(side=3), circle=Circle(radius=1.0))
    assert Drawing(name="circle", circle=Circle(radius=2.0)).circle.radius == 2
    with pytest.raises(ValidationError, match="square"):
        Drawing(square=Circle())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: circl}", "drawing.name: expected 'square' or 'circle', found \"circl\"; did you mean 'circle'?"),
        ("{more: [circle, 1]}", "drawing.more.1: expected 'square' or 'circle', found 1"),
        ("{square: {side: 0}}", "drawing.square.side: expected greater than or equal to 1, found 0"),
        ("{circle: {side: 1}}", "unknown key 'drawing.circle.side'; did you mean 'drawing.circle.radius'?"),
        ("{circl: {}}", "unknown key 'drawing.circl'; did you mean 'drawing.circle'?"),
    ],
)
def test_wrong_values_are_named(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(f"drawing: {text}")
    with pytest.raises(InputError) as error:
        load_params(Drawing, "drawing", path)
    assert str(error.value) == f"{path}: {message}"


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="two blocks are registered as 'square'"):
        SHAPES.register("square")(Circle)
