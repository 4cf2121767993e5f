"""The synthetic SAR sample: scenes of sea with seven kinds of slicks.

Here another kind of slick belongs (a drawing function and its entry in `slicks.KINDS`), or another look of the sea
(`scenes`). Each scene has random numbers of its own, so that a scene stays as it is whatever the others hold.
"""
