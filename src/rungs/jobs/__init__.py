"""The work of a job of the workflow: train, evaluate, report progress, in packs of runs.

Checkpoints and signals, the estimated cost of runs, and the survey of what is done lie here too. The
room may import figures and the rooms below it; exchange, report and every room above may import it.
"""
