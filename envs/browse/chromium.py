"""Which Chromium is started, and with which flags.

The browser is the system's. `chromium-headless-shell` comes first: the same engine without a desktop's windows, of
which a new page costs a quarter of the processor time. Names are resolved by one rule: the sites' own host names at
port 80 lead to the server on loopback, everything else to nowhere, addresses written as numbers included.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from agentrl.envs.errors import UsageError

__all__ = ["NAMES", "find", "flags"]

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Commands that are looked for, in this order."""

_OFF = (
    # Each navigation would otherwise get a new frame host: twice the processor time of a page (55 ms for 117 ms).
    "RenderDocument",
    "SpareRendererForSitePerProcess",
    "BackForwardCache",  # going back loads the page anew, as the server has it now
    "Prerender2",
    "PaintHolding",
    "Translate",
    "OptimizationHints",
    "MediaRouter",
    "AutofillServerCommunication",
    "DialMediaRouteProvider",
    "CertificateTransparencyComponentUpdater",
    "WebRtcHideLocalIpsWithMdns",
)


def find(browser: str | None) -> str:
    """Return the path of the browser.

    Args:
        browser: A path or a command; None: the first of `NAMES` that is installed.

    Raises:
        UsageError: There is none.
    """
    if browser is not None:
        given = shutil.which(browser) if isinstance(browser, str) else None
        if given is None:
            raise UsageError(f"browser={browser!r} is no program that can be run; give the path of a Chromium")
        return os.path.abspath(given)  # Playwright looks for no command
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        raise UsageError(
            f"no browser was found: none of {', '.join(NAMES)}; type: apt-get install chromium-headless-shell "
            "(or chromium), or give browser=PATH"
        )
    return path


def flags(port: int) -> Sequence[str]:
    """Return what the browser is started with.

    Args:
        port: Of the sites' server on loopback.
    """
    rules = f"MAP *.localhost:80 127.0.0.1:{port}, MAP * ~NOTFOUND"
    chosen = [
        f"--host-resolver-rules={rules}",
        f"--disable-features={','.join(_OFF)}",
        "--no-proxy-server",
        "--disable-gpu",
        "--in-process-gpu",
        "--disable-gpu-compositing",
        # Drawn by the thread that lays out, by one more and without hints for a screen: a quarter to a third less
        # processor time an action (54 and 71 ms for 81 and 98).
        "--disable-threaded-compositing",
        "--num-raster-threads=1",
        "--disable-lcd-text",
        "--disable-font-subpixel-positioning",
        "--font-render-hinting=none",
        "--disable-dev-shm-usage",
        "--disable-smooth-scrolling",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--js-flags=--max-old-space-size=192",  # MB of a page's scripts
        "--mute-audio",
    ]
    if os.geteuid() == 0:  # Chromium does not start as root with its sandbox
        chosen.append("--no-sandbox")
    return chosen
