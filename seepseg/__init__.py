"""Outline and name natural oil and gas seeps in SAR images."""
