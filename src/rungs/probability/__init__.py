"""Densities, divergences and likelihoods: functions of tensors that know nothing of networks.

Everything is in nats. This room imports numerics and errors only; models, training and evaluation
build on it.
"""
