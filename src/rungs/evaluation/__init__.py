"""Measurements on trained runs: bounds, activity, moments, representations and samples.

:mod:`rungs.evaluation.run` evaluates a run by the evaluator of its family
(:mod:`rungs.evaluation.evaluator`), which takes a model and images and returns arrays. The room may import
training and the rooms below it; claims, tables, figures and every room above may import it. Code that
only reads evaluations imports :mod:`rungs.evaluation.definitions` and
:mod:`rungs.evaluation.convergence`, which need no torch.
"""
