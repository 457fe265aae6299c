"""Compile checked expressions twice: for one connection (`scalar`) and for arrays of connections (`vector`).

The scalar implementation is the specification; tests hold the vector implementation equal to it. Both read values through the
protocols in `names`.
"""
