"""Start Lucid: ``python app.py`` serves the page; ``generate`` and ``doctor`` are commands of it too (see ``--help``)."""

import sys

try:
    from webui.cli import main
except ModuleNotFoundError as error:
    if str(error.name).startswith("webui"):
        raise
    sys.exit(f'The Python package "{error.name}" is not installed here. Run: {sys.executable} -m pip install -e .')

if __name__ == "__main__":
    sys.exit(main())
