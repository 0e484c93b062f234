"""What is true of every page and every picture that is made, whatever names are in it."""

from __future__ import annotations

import html.parser
import xml.etree.ElementTree as ElementTree

ALLOWED = {
    "html", "head", "meta", "link", "title", "style", "body", "header", "fieldset", "legend", "label", "input", "span",
    "h1", "h2", "h3", "p", "nav", "ol", "ul", "li", "a", "main", "section", "div", "table", "caption", "thead", "tbody",
    "tr", "th", "td", "data", "abbr", "bdi", "b", "i", "small", "figure", "figcaption", "pre", "code", "dl", "dt", "dd",
    "footer", "svg", "g", "desc", "rect", "polyline", "polygon", "circle", "text", "image",
}  # fmt: skip


class Page(html.parser.HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.values: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "data":
            self.values.append(dict(attrs)["value"] or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def assert_harmless(text: str) -> Page:
    """No script, no handler, no address but those within the page."""
    found = Page(text)
    for tag, attributes in found.tags:
        assert tag in ALLOWED, tag
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "action", "xlink:href"):
                assert (value or "").startswith(("#", "data:image/png;base64,", "data:,")), (tag, name, value)
            if name == "style":
                assert value in ("image-rendering:pixelated", "white-space:pre-wrap"), value
    styles = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in styles and "@import" not in styles and "expression" not in styles
    return found


def check_svg(data: bytes) -> ElementTree.Element:
    """Well-formed, without script, handlers or addresses."""
    root = ElementTree.fromstring(data)
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        assert tag in ALLOWED, tag
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on"), name
            if name.rpartition("}")[2] == "href":
                assert value.startswith("data:image/png;base64,")
    return root
