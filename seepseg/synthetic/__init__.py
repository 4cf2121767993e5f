"""The synthetic SAR sample: scenes of sea with seven kinds of slicks."""
