"""A study: the profile, the runs that it asks for, their settings, keys and files.

Here a profile is read and checked, each run gets the settings that it is trained by, and every path
below ``results/`` and every hash of code is decided. The room may import models and the rooms below
it; training and every room above may import it. Nothing here computes a result.
"""
