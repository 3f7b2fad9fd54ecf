"""``python -m rungs``: the same as the command ``rungs``."""

import sys

# ``-m`` puts the working folder before everything else, where a file of the user's may be called
# random.py or torch.py; the command does not.
if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]

from rungs.cli import main

if __name__ == "__main__":
    main()
