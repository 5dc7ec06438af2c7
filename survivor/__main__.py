"""``python -m survivor``: the same as the ``survivor`` command."""

from survivor.cli import main

if __name__ == "__main__":
    main()
