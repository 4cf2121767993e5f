"""The synthetic SAR sample: passes over common ground, whose seeps give slicks that drift with each pass's wind.

Here another kind of slick belongs (a drawing function and its entry in `slicks.KINDS`), another look of the sea
(`scenes`), or another fact of the ground (`ground`). Each scene has random numbers of its own, and the ground comes
from the data set's seed alone, so that a scene stays as it is whatever the others hold.
"""
