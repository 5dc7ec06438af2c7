"""Entry of the writer process, started by its path; see ``survivor/training/__main__.py`` for why not with ``-m``."""

import sys

if __name__ == "__main__":
    from os.path import abspath, dirname

    home = dirname(dirname(dirname(abspath(__file__))))
    if sys.path and sys.path[0] == dirname(abspath(__file__)):
        del sys.path[0]
    sys.path.insert(0, home)
    import survivor  # noqa: F401

    sys.path.remove(home)

    from survivor.supervisor.writer import main

    main(int(sys.argv[1]))
