"""Which networks may look at which scenes, so that every score is of scenes that they were not trained on."""

from pathlib import Path
from typing import Literal, NamedTuple

from seepseg.data.packed import Packed, read_inner_folds, read_split
from seepseg.data.scenes import Scene, find_scenes


class OutOfFoldScene(NamedTuple):
    """A scene, and the networks that were not trained on it.

    Attributes:
        split: oof for a training scene, which the network of its inner fold has not seen though the others have;
            test for a test scene, which none of them has seen.
        scene: all its tiles that are of one inner fold, or of the test split.
        networks: numbers of those networks.
    """

    split: Literal["oof", "test"]
    scene: Scene
    networks: tuple[int, ...]


def out_of_fold_scenes(packed: Packed, split: Path, networks: int) -> list[OutOfFoldScene]:
    """All scenes with the networks that are out of fold there: inner fold by inner fold, then the test scenes.

    Args:
        packed: the tiles.
        split: the file that the split stage wrote.
        networks: how many there are; network i was not trained on inner fold i. With fewer networks than inner folds,
            the tiles of the others are left out.

    Raises:
        InputError: the file is missing or lists other tiles.
    """
    folds, shape = read_inner_folds(packed, split), packed.images.shape[1:]
    scenes = [
        OutOfFoldScene("oof", scene, (number,))
        for number in range(networks)
        for scene in find_scenes(packed.manifest, folds[number], shape)
    ]
    test = find_scenes(packed.manifest, read_split(packed, split)["test"], shape)
    return scenes + [OutOfFoldScene("test", scene, tuple(range(networks))) for scene in test]
