"""Parameter blocks that register under a name: params.yaml chooses one by its name and lists the parameters of all.

What is registered is at one place: the block with its parameters, defaults and docs, and the method that makes use of
them. Nothing else has to name it.
"""

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from pydantic_core import CoreSchema, core_schema

Block = TypeVar("Block")
AnyType = TypeVar("AnyType", bound=type)


class Registry(dict[str, type[Block]]):
    """Parameter blocks by name, in the order in which they were registered."""

    def register(self, name: str) -> Callable[[AnyType], AnyType]:
        """Make a decorator that registers a `param_block`, which must have defaults for all of its fields.

        Args:
            name: by which params.yaml chooses it.

        Raises:
            ValueError: another block has that name.
        """

        def add(block: AnyType) -> AnyType:
            if name in self:
                raise ValueError(f"two blocks are registered as '{name}': {self[name]} and {block}")
            self[name] = block
            return block

        return add

    def add_fields(self, cls: AnyType) -> AnyType:
        """Give a class a field for each block registered so far, after its own; a decorator below `param_block`."""
        for name, block in self.items():
            cls.__annotations__[name] = block
            setattr(cls, name, block())
        return cls


class OneOf:
    """Makes `Annotated[str, OneOf(names)]` what `Literal` is for names that are known when the program is written.

    Args:
        names: to choose from; those that are there when a parameter block is made.

    Attributes:
        names: the same.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """Tell pydantic to take these names alone."""
        return core_schema.literal_schema(list(self.names))
