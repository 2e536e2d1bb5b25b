"""Tests the built site: nothing is fetched from another host, and pages fit a phone.

    python site.py FOLDER [--shots FOLDER]

With --shots, pages are also opened in headless Chromium (playwright) from the file system, wide and narrow.
"""

import argparse
import pathlib
import sys
from html.parser import HTMLParser

WIDTHS = {"wide": 1440, "narrow": 390}


class Resources(HTMLParser):
    """Addresses of what a browser fetches to show a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "link", "img", "source", "iframe"):
            self.found += [value for name, value in attributes if name in ("src", "href", "srcset") and value]


def external(page):
    parser = Resources()
    parser.feed(page.read_text())
    return [address for address in parser.found if "//" in address]


def browse(pages, folder, shots):
    from playwright.sync_api import sync_playwright

    problems = []
    shots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        for kind, width in WIDTHS.items():
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda message: problems.append(f"{page.url}: {message.text}") if message.type == "error" else None)
            page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else problems.append(f"fetched: {request.url}"))
            for file in pages:
                page.goto(file.resolve().as_uri())
                page.wait_for_timeout(300)
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    problems.append(f"{file}: wider than {width} pixels")
                name = str(file.relative_to(folder)).replace("/", "-").removesuffix(".html")
                page.screenshot(path=shots / f"{name}-{kind}.png")
        browser.close()
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--shots", type=pathlib.Path)
    args = parser.parse_args()
    pages = sorted(args.folder.rglob("*.html"))
    assert pages, f"no pages in {args.folder}"
    problems = [f"{page}: {address}" for page in pages for address in external(page)]
    if args.shots:
        problems += browse([page for page in pages if page.name != "404.html"], args.folder, args.shots)
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(pages)} pages, nothing fetched from another host")


if __name__ == "__main__":
    main()
