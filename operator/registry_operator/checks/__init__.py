"""Observations → conditions: what is true now, and for which generation."""
