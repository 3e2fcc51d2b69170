"""The pen: colours, lines, shapes with a shadow side, lettering, balloons and panels.

Every function returns SVG text; nothing is drawn until a page is put together by sheet().
Coordinates are page pixels. Randomness always comes from a Random with a fixed seed, so that
the same program draws the same page.
"""

import math
from itertools import count

INK, PAPER = "#1c1a18", "#faf8f5"
VERM, VERM_D, VERM_L = "#a8321f", "#7f2416", "#d9826f"
INDIGO, INDIGO_D, INDIGO_L, MIST = "#34496e", "#1e2a44", "#7d92b0", "#ccd6dd"
MOSS, MOSS_D, MOSS_L = "#73814a", "#4d5a33", "#b0b985"
FUR, FUR_D, CREAM, BARK = "#bd8c58", "#96693f", "#f3e7cf", "#4a362a"
STRAW, STRAW_D, WARM = "#dfbd7a", "#b58f4d", "#f6cf78"

SERIF = "Noto Serif CJK JP"
SANS = "Noto Sans CJK JP"

_ids = count(1)


def uid():
    return f"u{next(_ids)}"


def restart_ids():
    """Each page numbers its clips from one, so that a page does not depend on those before it."""
    global _ids
    _ids = count(1)


# ---- shapes --------------------------------------------------------------------------------------


def g(body, tf="", extra=""):
    return f'<g transform="{tf}" {extra}>{body}</g>' if tf else f"<g {extra}>{body}</g>"


def path(d, fill="none", stroke=INK, w=5, extra=""):
    return (
        f'<path d="{d}" fill="{fill}" stroke="{stroke}" stroke-width="{w}" '
        f'stroke-linecap="round" stroke-linejoin="round" {extra}/>'
    )


def line(d, w=5, stroke=INK, extra=""):
    return path(d, "none", stroke, w, extra)


def oval(x, y, rx, ry=None, fill=PAPER, stroke=INK, w=5, rot=0):
    ry = rx if ry is None else ry
    tf = f' transform="rotate({rot} {x} {y})"' if rot else ""
    return (
        f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{fill}" stroke="{stroke}" '
        f'stroke-width="{w}"{tf}/>'
    )


def box(x, y, w, h, fill=PAPER, stroke=INK, sw=5, r=0):
    return (
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{r}" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{sw}" stroke-linejoin="round"/>'
    )


def flat(d, fill, opacity=1):
    return f'<path d="{d}" fill="{fill}" opacity="{opacity}"/>'


def dot(x, y, rx, ry=None, fill=INK, opacity=1, rot=0):
    ry = rx if ry is None else ry
    tf = f' transform="rotate({rot} {x} {y})"' if rot else ""
    return f'<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="{fill}" opacity="{opacity}"{tf}/>'


def clip(d, body):
    i = uid()
    return f'<clipPath id="{i}"><path d="{d}"/></clipPath><g clip-path="url(#{i})">{body}</g>'


def blob(d, fill, shade, dx=-14, dy=-10, w=5, over=""):
    """A closed shape with its shadow on the far side of (dx, dy); over is drawn inside it."""
    i = uid()
    return (
        f'<clipPath id="{i}"><path d="{d}"/></clipPath><g clip-path="url(#{i})">'
        f'<path d="{d}" fill="{shade}"/>'
        f'<path d="{d}" fill="{fill}" transform="translate({dx} {dy})"/>{over}</g>' + line(d, w)
    )


def egg(cx, cy, rx, ry):
    return f"M{cx - rx} {cy}A{rx} {ry} 0 1 1 {cx + rx} {cy}A{rx} {ry} 0 1 1 {cx - rx} {cy}Z"


def smooth(pts):
    """A soft curve through all points."""
    d = f"M{pts[0][0]:.1f} {pts[0][1]:.1f}"
    for i in range(len(pts) - 1):
        p0, p1, p2 = pts[max(i - 1, 0)], pts[i], pts[i + 1]
        p3 = pts[min(i + 2, len(pts) - 1)]
        c1 = (p1[0] + (p2[0] - p0[0]) / 6, p1[1] + (p2[1] - p0[1]) / 6)
        c2 = (p2[0] - (p3[0] - p1[0]) / 6, p2[1] - (p3[1] - p1[1]) / 6)
        d += "C" + " ".join(f"{a:.1f} {b:.1f}" for a, b in (c1, c2, p2))
    return d


def limb(pts, w, fill, lw=5):
    """An arm or leg: a thick round line with an ink edge."""
    d = smooth(pts)
    return line(d, w + 2 * lw) + line(d, w, fill)


# ---- lettering: capitals drawn with one round stroke, in a box 14 high -----------------------------

GLYPHS = {
    "A": (10, "M0 14L5 0L10 14M2 9.2H8"),
    "B": (9, "M.5 0V14M.5 0H4Q8 0 8 3.4Q8 6.6 4 6.6H.5M4 6.6Q9 6.8 9 10.2Q9 14 4 14H.5"),
    "C": (9, "M9 2.5Q7.5 0 5 0Q0 0 0 7Q0 14 5 14Q7.8 14 9.2 11.5"),
    "D": (9.5, "M.5 0V14M.5 0H3.5Q9.5 0 9.5 7Q9.5 14 3.5 14H.5"),
    "E": (8, "M8 0H.5V14H8M.5 6.8H6.8"),
    "F": (7.5, "M8 0H.5V14M.5 6.8H6.6"),
    "G": (9.5, "M9 2.5Q7.5 0 5 0Q0 0 0 7Q0 14 5 14Q9.5 14 9.5 9V8H5.8"),
    "H": (9.5, "M.5 0V14M9 0V14M.5 7H9"),
    "I": (1, "M.5 0V14"),
    "J": (7, "M6.5 0V10Q6.5 14 3.2 14Q0 14 0 10.5"),
    "K": (9, "M.5 0V14M8.5 0L.5 8M3.3 5.6L9 14"),
    "L": (7.5, "M.5 0V14H7.5"),
    "M": (11, "M0 14L1.2 0L5.5 9L9.8 0L11 14"),
    "N": (9.5, "M.5 14V0L9 14V0"),
    "O": (10.5, "M5.2 0Q10.5 0 10.5 7Q10.5 14 5.2 14Q0 14 0 7Q0 0 5.2 0Z"),
    "P": (8.5, "M.5 14V0H4.5Q8.6 0 8.6 3.8Q8.6 7.8 4.5 7.8H.5"),
    "Q": (10.5, "M5.2 0Q10.5 0 10.5 7Q10.5 14 5.2 14Q0 14 0 7Q0 0 5.2 0ZM6.5 10.5L10 15"),
    "R": (9, "M.5 14V0H4.5Q8.6 0 8.6 3.8Q8.6 7.8 4.5 7.8H.5M4.4 7.8L9 14"),
    "S": (
        8.4,
        "M8 2Q6.8 0 4.3 0Q.6 0 .6 3.4Q.6 6 4.4 6.8Q8.4 7.6 8.4 10.6Q8.4 14 4.2 14Q1.2 14 0 11.6",
    ),
    "T": (9, "M0 0H9M4.5 0V14"),
    "U": (9.5, "M.5 0V9Q.5 14 4.8 14Q9 14 9 9V0"),
    "V": (10, "M0 0L5 14L10 0"),
    "W": (13, "M0 0L3 14L6.5 3L10 14L13 0"),
    "X": (9, "M0 0L9 14M9 0L0 14"),
    "Y": (9.6, "M0 0L4.8 7L9.6 0M4.8 7V14"),
    "Z": (9, "M0 0H8.5L0 14H9"),
    "0": (9, "M4.5 0Q9 0 9 7Q9 14 4.5 14Q0 14 0 7Q0 0 4.5 0Z"),
    "1": (4, "M0 3L3.5 0V14"),
    "2": (8.5, "M.4 3.4Q.8 0 4.4 0Q8.2 0 8.2 3.6Q8.2 6.4 0 14H8.6"),
    "3": (
        8.5,
        "M.4 1.6Q2 0 4.2 0Q8 0 8 3.4Q8 6.6 3.6 6.6Q8.6 6.8 8.6 10.2Q8.6 14 4 14Q1.4 14 0 12",
    ),
    ".": (1, "M.5 13.6V14"),
    ",": (1.6, "M1.2 13.4Q1.2 15.4 0 16.6"),
    "!": (1, "M.5 0V9.4M.5 13.6V14"),
    "?": (7.5, "M0 3Q.6 0 3.8 0Q7.4 0 7.4 3.4Q7.4 5.6 5.4 7Q3.8 8.2 3.8 9.8M3.8 13.6V14"),
    "'": (1, "M.6 0L.3 3"),
    "-": (5, "M.5 7.6H4.8"),
    "…": (9, "M.5 13.6V14M4.5 13.6V14M8.5 13.6V14"),
    ":": (1, "M.5 4.6V5M.5 12.6V13"),
    "/": (8, "M8 -1L0 15"),
}
GAP, SPACE, LEAD = 3.6, 6.6, 22


def _units(text):
    w = 0
    for c in text:
        w += SPACE if c == " " else GLYPHS[c][0] + GAP
    return w - GAP


def letters(text, x, y, size=24, color=INK, anchor="middle", weight=0.15):
    """One line of capitals, size = height of a letter, y = its baseline."""
    k = size / 14
    at = {"middle": -_units(text) / 2, "start": 0, "end": -_units(text)}[anchor]
    d = ""
    for c in text:
        if c == " ":
            at += SPACE
            continue
        w, glyph = GLYPHS[c]
        d += f'<path d="{glyph}" transform="translate({at:.1f} -14)"/>'
        at += w + GAP
    return (
        f'<g transform="translate({x} {y}) scale({k:.3f})" fill="none" stroke="{color}" '
        f'stroke-width="{14 * weight:.2f}" stroke-linecap="round" stroke-linejoin="round">{d}</g>'
    )


def lines(rows, x, y, size=24, color=INK, anchor="middle", weight=0.15):
    """Rows of capitals; y = middle of the block. A row that starts with ~ is set in a font."""
    lead = size * LEAD / 14
    top = y - lead * len(rows) / 2 + (lead + size) / 2
    out = ""
    for i, row in enumerate(rows):
        at = top + i * lead
        if row.startswith("~"):
            out += type_(row[1:], x, at + size * 0.12, size * 1.55, color, SANS, anchor)
        else:
            out += letters(row, x, at, size, color, anchor, weight)
    return out


def type_(text, x, y, size, color=INK, font=SERIF, anchor="middle", extra=""):
    return (
        f'<text x="{x}" y="{y}" font-family="{font}" font-weight="700" font-size="{size}" '
        f'text-anchor="{anchor}" fill="{color}" {extra}>{text}</text>'
    )


def sound(text, x, y, size, rot=0, fill=INK, edge=PAPER, gap=None, down=False):
    """A sound word, letter after letter along a line, growing and swinging."""
    out = ""
    gap = size * 0.86 if gap is None else gap
    for i, c in enumerate(text):
        sz = size * (1 + 0.09 * i)
        swing = (-7, 6, -3, 8)[i % 4]
        px, py = (0, i * gap) if down else (i * gap, (6, -8, 4)[i % 3])
        t = type_(
            c,
            0,
            0,
            sz,
            fill,
            SANS,
            extra=f'stroke="{edge}" stroke-width="{size * 0.17:.1f}" '
            'stroke-linejoin="round" paint-order="stroke"',
        )
        out += g(t, f"translate({px} {py}) rotate({swing})")
    return g(out, f"translate({x} {y}) rotate({rot})")


# ---- balloons and captions -------------------------------------------------------------------------


def width_of(rows, size):
    w = 0
    for row in rows:
        w = max(w, len(row[1:]) * size * 1.55 if row.startswith("~") else _units(row) * size / 14)
    return w


def balloon(rows, x, y, tip=None, size=24, fill=PAPER, shout=False):
    """Speech around (x, y); tip is where the tail points to."""
    lead = size * LEAD / 14
    rx = width_of(rows, size) / 2 * 1.18 + size * 1.0
    ry = lead * len(rows) / 2 * 1.22 + size * 0.75

    def edge(a, r=1):
        c, s = math.cos(a), math.sin(a)
        return (
            x + r * rx * math.copysign(abs(c) ** 0.8, c),
            y + r * ry * math.copysign(abs(s) ** 0.8, s),
        )

    # the tail leaves the edge where it is nearest to the tip; its foot is about a letter wide
    aim = math.atan2((tip[1] - y) / ry, (tip[0] - x) / rx) if tip else 0
    foot = edge(aim)
    pts, n = [], 160
    for i in range(n):
        a = aim + math.pi + 2 * math.pi * i / n
        at = edge(a, 1.09 if shout and i % 10 < 5 else 1)
        if tip and math.dist(edge(a), foot) < size * 0.62:
            if pts[-1] != tip:
                pts.append(tip)
            continue
        pts.append(at)
    d = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in pts) + "Z"
    return path(d, fill, INK, 4.5) + lines(rows, x, y, size)


def caption(rows, x, y, size=22, fill=CREAM, anchor="start", color=INK):
    """A box with told text; (x, y) is its upper left corner, or upper right with anchor end."""
    lead = size * LEAD / 14
    w, h = width_of(rows, size) + size * 1.9, lead * len(rows) + size * 0.9
    left = x if anchor == "start" else x - w
    return box(left, y, w, h, fill, INK, 4.5) + lines(
        rows, left + size * 0.95, y + h / 2, size, color, "start"
    )


# ---- panels and pages ------------------------------------------------------------------------------


def panel(pts, body, over="", w=7):
    """A framed picture. pts: (x, y, width, height) or a list of corners. over may leave the frame."""
    if not isinstance(pts[0], tuple):
        x, y, pw, ph = pts
        pts = [(x, y), (x + pw, y), (x + pw, y + ph), (x, y + ph)]
    d = "M" + "L".join(f"{a} {b}" for a, b in pts) + "Z"
    return clip(d, body) + path(d, "none", INK, w) + over


DEFS = f"""
<filter id="hand" x="-40" y="-40" width="1080" height="6000" filterUnits="userSpaceOnUse">
 <feTurbulence type="fractalNoise" baseFrequency="0.014" numOctaves="2" seed="7"/>
 <feDisplacementMap in="SourceGraphic" scale="7" xChannelSelector="R" yChannelSelector="G"/>
</filter>
<pattern id="tone" width="11" height="11" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
 <circle cx="5.5" cy="5.5" r="2.6" fill="{INK}"/></pattern>
<pattern id="tonelight" width="12" height="12" patternUnits="userSpaceOnUse"
 patternTransform="rotate(45)"><circle cx="6" cy="6" r="2.2" fill="{PAPER}"/></pattern>
<pattern id="waves" width="80" height="40" patternUnits="userSpaceOnUse">
 <g fill="none" stroke="{INDIGO_L}" stroke-width="3">
 {
    "".join(
        f'<g><circle cx="{cx}" cy="{cy}" r="40" fill="{INDIGO}"/><circle cx="{cx}" cy="{cy}" r="38"/>'
        f'<circle cx="{cx}" cy="{cy}" r="27"/><circle cx="{cx}" cy="{cy}" r="16"/></g>'
        for cy, xs in ((20, (0, 80)), (40, (40,)), (60, (0, 80)), (80, (40,)))
        for cx in xs
    )
}
 </g></pattern>
<pattern id="lattice" width="52" height="52" patternUnits="userSpaceOnUse"
 patternTransform="rotate(45)"><rect width="52" height="52" fill="{INDIGO_D}"/>
 <path d="M0 0H52M0 0V52" stroke="{PAPER}" stroke-width="15"/></pattern>
"""


def sheet(w, h, body, paper=PAPER):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" '
        f'viewBox="0 0 {w} {h}"><defs>{DEFS}</defs><rect x="-9" y="-9" width="{w + 18}" height="{h + 18}" fill="{paper}"/>'
        f'<g filter="url(#hand)">{body}</g></svg>'
    )
