"""Proof: whether a script resumes exactly, or the first thing in which a resumed run differs from the plain one.

`survivor.proof.tracing` is loaded into the plain script and into the processes that train under survivor, and
notes what they do; everything else here starts those processes, reads what they noted, and compares.
"""
