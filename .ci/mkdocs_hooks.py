"""What the site needs done to the pages: fences of our tests (``text output``, ``python no-run``) are plain ones to Markdown, and the
changelog, which stands above the folder of the pages, is one of them."""

import re
from pathlib import Path

from mkdocs.structure.files import File

_FENCE = re.compile(r"^```(text|python) [\w-]+$", re.MULTILINE)
_CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def on_files(files, config, **_):
    """Called by mkdocs with all files of the site."""
    files.append(File.generated(config, "CHANGELOG.md", abs_src_path=str(_CHANGELOG)))
    return files


def on_page_markdown(markdown, **_):
    """Called by mkdocs with the text of each page."""
    return _FENCE.sub(r"```\1", markdown).replace("](../CHANGELOG.md)", "](CHANGELOG.md)")
