"""Seeds, the set-up of torch, and custom operators.

Nothing here knows what a model or a file is. The room imports no other room; every other room may
import it.
"""
