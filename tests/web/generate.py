"""Write the types of the client again, after the API or a module of it has changed.

Run it from the root of the project: python -m tests.web.generate
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.web.typescript import CLIENT, generate_types, types_in


def main() -> None:
    """Replace all types of the client."""
    with TemporaryDirectory() as folder:
        generate_types(Path(folder))
        generated = types_in(Path(folder))
    for name in types_in(CLIENT).keys() - generated.keys():
        (CLIENT / name).unlink()
    for name, text in generated.items():
        (CLIENT / name).write_text(text)


if __name__ == "__main__":
    main()
