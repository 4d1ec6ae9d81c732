"""Our docstrings for the reference: ``:raises A, B: when`` is two entries to Sphinx's style, one for each."""

import re

from griffe import Extension

_SEVERAL = re.compile(r"^( *):raises ((?:\w+, )+\w+): ", re.MULTILINE)


class Raises(Extension):
    """Splits such entries, and those that stand behind another on one line."""

    def on_instance(self, *, obj, **_):
        """Called by griffe with each object that it has read."""
        if obj.docstring is None:
            return
        text = re.sub(r"(?<=\S) (:raises \w)", r"\n\1", obj.docstring.value)
        obj.docstring.value = _SEVERAL.sub(_split, text)


def _split(found):
    *others, last = found[2].split(", ")
    return "".join(f"{found[1]}:raises {one}: as the next\n" for one in others) + f"{found[1]}:raises {last}: "
