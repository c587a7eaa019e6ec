"""Checks that take minutes: what holds for seconds may not hold for an hour."""
