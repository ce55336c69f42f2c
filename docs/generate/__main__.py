"""`python -m docs.generate` (`make reference`): write the generated parts of the reference pages."""

from docs.generate.pages import PAGES, regenerated


def main() -> None:
    for page in PAGES:
        page.write_text(regenerated(page), encoding="utf-8")


if __name__ == "__main__":
    main()
