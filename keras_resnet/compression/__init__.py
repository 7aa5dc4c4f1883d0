"""Smaller networks: fewer channels, weights that are zero, and students of larger networks."""
