"""Pages taken apart, and checked for what must hold for every page."""

import re
from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "img", "input", "br", "source"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></pre><b>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eright to left شيء",
    "x" * 300,
    "😀\x00\x1b[31m",
]


class Page(HTMLParser):
    """The elements, attributes and texts of a page; fails on tags that do not close."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], Counter(), [], ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data

    def values(self, name):
        return [value for _, attribute, value in self.attributes if attribute == name]


def checked_page(html):
    """Parse a page and check what must hold for every page."""
    page = Page(html)
    html.encode("utf-8")
    assert not re.search(r"https?://|url\(|@import", html)
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    assert all(v.startswith("data:image/") for v in page.values("src") + page.values("srcset"))
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert all(value.startswith("#") for value in page.values("href"))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in page.values("href")} | set(page.values("for")) <= set(ids)
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == page.tags["img"] and all(alts)
    assert "default-src 'none'" in html and '<html lang="en">' in html
    return page
