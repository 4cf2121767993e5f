"""The page of a run: what was trained on what, how good it is, a map of its slicks, and what to look at next."""
