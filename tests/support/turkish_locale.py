"""A Turkish locale, in which the lower case of `I` has no dot.

PostgreSQL's `lower` follows the locale of the database. The server that the tests install has no
locales, and not every machine has a Turkish one. So this locale is compiled from a few lines by a
tool of glibc. It defines the letters of ASCII, the capital I with a dot, and the small i without.
"""

import subprocess
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

NAME = "tr_TR.UTF-8"

_CHARACTERS = """\
<code_set_name> UTF-8
<comment_char> %
<escape_char> /
<mb_cur_min> 1
<mb_cur_max> 6
CHARMAP
<U0000>..<U007F> /x00 ASCII
<U0130> /xc4/xb0 LATIN CAPITAL LETTER I WITH DOT ABOVE
<U0131> /xc4/xb1 LATIN SMALL LETTER DOTLESS I
END CHARMAP
"""


def compile_turkish_locale(folder: Path) -> None:
    """Compile the locale into this folder, which `LOCPATH` must then name."""
    folder.mkdir()
    characters, source = folder / "characters", folder / "source"
    characters.write_text(_CHARACTERS)
    source.write_text(_source())
    compiled = folder / NAME
    # It warns about everything that the locale does not define, such as days and money.
    command: list[str | Path] = [
        "localedef",
        "-c",
        "--no-archive",
        "-f",
        characters,
        "-i",
        source,
        compiled,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not (compiled / "LC_CTYPE").exists():
        raise RuntimeError(f"the Turkish locale could not be compiled: {done.stderr}")


def _source() -> str:
    pairs = [
        (capital, small)
        for capital, small in zip(ascii_uppercase, ascii_lowercase, strict=True)
        if small != "i"
    ]
    pairs += [("I", "ı"), ("İ", "i")]
    to_lower = ";".join(f"({_symbol(capital)},{_symbol(small)})" for capital, small in pairs)
    to_upper = ";".join(f"({_symbol(small)},{_symbol(capital)})" for capital, small in pairs)
    return (
        "comment_char %\nescape_char /\nLC_CTYPE\n"
        f"upper {';'.join(_symbol(capital) for capital, _ in pairs)}\n"
        f"lower {';'.join(_symbol(small) for _, small in pairs)}\n"
        "digit <U0030>..<U0039>\n"
        "space <U0020>;<U0009>..<U000D>\n"
        "cntrl <U0000>..<U001F>;<U007F>\n"
        "punct <U0021>..<U002F>;<U003A>..<U0040>;<U005B>..<U0060>;<U007B>..<U007E>\n"
        "xdigit <U0030>..<U0039>;<U0041>..<U0046>;<U0061>..<U0066>\n"
        "blank <U0020>;<U0009>\n"
        f"tolower {to_lower}\n"
        f"toupper {to_upper}\n"
        "END LC_CTYPE\n"
    )


def _symbol(character: str) -> str:
    return f"<U{ord(character):04X}>"
