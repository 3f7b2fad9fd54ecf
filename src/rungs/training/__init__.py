"""Training: the trainer, its optimiser and schedules, and the history of a run.

The trainer knows a model by its protocol and a run by its settings; it writes no progress and
handles no signal. The room may import study and the rooms below it; evaluation and every room above
may import it.
"""
