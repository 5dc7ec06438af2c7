"""What runs inside a traced process: hooks in torch, a walk over the script's state, a record of both.

The same code runs in the plain script and under survivor. It reads, and changes nothing that the script sees.
It doesn't use survivor's own way of reading state (`survivor.state`): a verifier that shares the eyes of what it
verifies is blind where that is blind.
"""
