"""axe-core, which checks a page against the rules of WCAG."""

from tests.page.browser import Browser
from tests.support.command import ROOT

AXE = ROOT / ".tools" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


def violations(browser: Browser, and_unclear: bool = True) -> list[str]:
    """Each violation with the first elements that have it. `and_unclear`: also contrasts that axe cannot tell,
    as those of text in an SVG or scrolled out of sight.
    """
    browser.run(AXE.read_text())
    found = browser.run_async("const done = arguments[0]; axe.run().then(done, (error) => done({failed: `${error}`}))")
    assert "failed" not in found, found
    unclear = [one for one in found["incomplete"] if and_unclear and one["id"] == "color-contrast"]
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in [*found["violations"], *unclear]
    ]
