"""Entry of the child process: ``python .../survivor/training/__main__.py CHANNEL_FD``.

It is run by its path and not by ``-m``, because ``-m`` puts the working folder first in ``sys.path``
while survivor itself is still being imported: a user's ``survivor.py`` or ``runpy.py`` there would
be taken for ours. By path, nothing but this folder is in the way, and it is taken out at once.
"""

import sys

if __name__ == "__main__":
    from os.path import abspath, dirname

    home = dirname(dirname(dirname(abspath(__file__))))
    if sys.path and sys.path[0] == dirname(abspath(__file__)):
        del sys.path[0]
    # the survivor that the parent runs, wherever it was found, and only for the time of the import
    sys.path.insert(0, home)
    import survivor  # noqa: F401

    sys.path.remove(home)

    from survivor.training.child import main

    main(int(sys.argv[1]))
