"""The version of Cascade, as artifacts name it: part of the source, so that it does not depend on how Cascade was installed."""

VERSION = "0.1.0"  # as in pyproject.toml; a test compares them
PRODUCER = f"cascade-vm {VERSION}"
