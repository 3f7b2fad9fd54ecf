"""``python -m rungs``: the same as the command ``rungs``."""

from rungs.cli import main

if __name__ == "__main__":
    main()
