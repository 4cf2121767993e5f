"""What several passes over the same ground tell: which slicks come back, and from which seeps."""
