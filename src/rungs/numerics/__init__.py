"""Seeds, the set-up of torch, custom operators, and the name of the processor.

Nothing here knows what a model or a file is. The room imports no other room; every other room may
import it.
"""
