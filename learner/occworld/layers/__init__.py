"""Layers that both architectures are made of."""
