"""Read every file of datasets again: `python -m twins.dataset FOLDER …`."""

import sys

from sim.errors import InputError
from twins.dataset import open_dataset


def main() -> int:
    damaged = 0
    for folder in sys.argv[1:]:
        try:
            open_dataset(folder).verify()
            print(f"{folder}: every file is as its manifest says")
        except InputError as error:
            damaged += 1
            print(error, file=sys.stderr)
    return 2 if damaged or not sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
