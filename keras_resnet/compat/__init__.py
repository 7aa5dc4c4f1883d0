"""Every use that this package makes of private Keras.

A name is private that Keras does not document: what lies in `keras.src`, and attributes and methods that begin with an
underscore. Keras may change them in any minor version, so `pyproject.toml` admits only the minor version that they were
compared with. The modules here give them public names, with the reason. Nothing outside this folder touches them, which
tests/test_architecture.py holds; where Keras changes one, tests/compat says which and what it was needed for.
"""
