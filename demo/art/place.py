"""Scenery: the storehouse, weather, land, trees, loose pages, shelves, lanterns."""

import math
from random import Random

from .pen import (
    BARK,
    CREAM,
    INDIGO,
    INDIGO_D,
    INDIGO_L,
    INK,
    MIST,
    MOSS,
    MOSS_D,
    MOSS_L,
    PAPER,
    SERIF,
    STRAW,
    VERM,
    VERM_D,
    VERM_L,
    WARM,
    blob,
    box,
    clip,
    dot,
    flat,
    g,
    limb,
    line,
    oval,
    path,
    smooth,
    type_,
)

# ---- pages and books -------------------------------------------------------------------------------


def leaf(x, y, s=1, rot=0, bend=0, seed=0, w=4):
    """A loose comic page, 60 by 84, with small panels on it; bend curls it."""
    b = bend
    d = f"M-30 -42Q0 {-42 - b} 30 -42Q{30 + b / 2} 0 30 42Q0 {42 - b} -30 42Q{-30 + b / 2} 0 -30 -42Z"
    rnd = Random(seed)
    tint = rnd.choice((VERM_L, INDIGO_L, MOSS_L, MIST))
    cut = rnd.choice((-10, 4, 12))
    inner = (
        f'<path d="M-22 -33H22V{cut - 3}H-22Z" fill="{tint}"/>'
        f'<path d="M-22 {cut + 3}H-3V33H-22ZM4 {cut + 3}H22V33H4Z" fill="{MIST}"/>'
        f'<path d="M-22 -33H22V{cut - 3}H-22ZM-22 {cut + 3}H-3V33H-22ZM4 {cut + 3}H22V33H4Z" '
        f'fill="none" stroke="{INK}" stroke-width="2.4"/>'
    )
    skew = f" skewX({b * 0.5})" if b else ""
    return g(path(d, PAPER, INK, w) + inner, f"translate({x} {y}) rotate({rot}) scale({s}){skew}")


def flock(points, seed=1):
    """Loose pages at (x, y, scale) with turns that look blown about."""
    rnd = Random(seed)
    return "".join(
        leaf(x, y, s, rnd.uniform(-60, 60), rnd.uniform(-14, 14), rnd.random())
        for x, y, s in points
    )


def pile(x, y, n=8, s=1, seed=3):
    """A stack of pages seen from the side; (x, y) is the middle of its foot."""
    rnd = Random(seed)
    out = ""
    for i in range(n):
        dx, r = rnd.uniform(-7, 7), rnd.uniform(-2.5, 2.5)
        out += g(
            box(-58 + dx, -9, 116, 9, PAPER, INK, 3.2, 2), f"translate(0 {-i * 9}) rotate({r})"
        )
    return g(out, f"translate({x} {y}) scale({s})")


def spines(x, y, w, h, seed, gap_at=None):
    """A row of books standing on y; gap_at leaves a hole at that share of the width."""
    hole = None if gap_at is None else x + w * gap_at
    rnd = Random(seed)
    at, out = x, ""
    while at < x + w - 18:
        bw = min(rnd.choice((20, 26, 32, 38)), x + w - at)
        if hole is not None and at + bw > hole:
            at, hole = at + 64, None
            continue
        bh = h * rnd.uniform(0.68, 0.94)
        c = rnd.choice((VERM, INDIGO, MOSS, CREAM, INDIGO_L, STRAW, MOSS_D, VERM_D))
        band = INK if c in (CREAM, STRAW, INDIGO_L) else CREAM
        out += box(at, y - bh, bw, bh, c, INK, 3.4, 2)
        if bw > 22:
            out += box(
                at + bw * 0.25,
                y - bh * 0.8,
                bw * 0.5,
                bh * 0.26,
                CREAM if band == CREAM else PAPER,
                INK,
                2,
            )
        else:
            out += line(
                f"M{at + 4} {y - bh * 0.75}H{at + bw - 4}M{at + 4} {y - bh * 0.2}H{at + bw - 4}",
                3,
                band,
            )
        at += bw
    return out


def shelf(x, y, w, rows, row_h=120, seed=1, gap=None):
    """A case of shelves, (x, y) upper left; gap = (row, share) of a missing book."""
    h = rows * row_h
    out = box(x, y, w, h, "#6a4a35", INK, 5) + flat(f"M{x} {y}h{w}v{h}h{-w}Z", INK, 0.28)
    for r in range(rows):
        base = y + (r + 1) * row_h - 10
        out += spines(
            x + 16, base, w - 32, row_h - 18, seed * 31 + r, gap[1] if gap and gap[0] == r else None
        )
        out += box(x, base, w, 12, "#8a6344", INK, 4)
    return (
        out + box(x - 4, y, 16, h, "#8a6344", INK, 4) + box(x + w - 12, y, 16, h, "#8a6344", INK, 4)
    )


def book(x, y, s=1, rot=0, color=VERM):
    """A closed book bound with thread."""
    b = box(-44, -60, 88, 120, color, INK, 4.5, 3) + box(-6, -44, 34, 62, CREAM, INK, 3)
    b += line("M-32 -60V60", 3.4, CREAM)
    b += "".join(line(f"M-44 {v}H-32", 3.4, CREAM) for v in (-40, -14, 14, 40))
    b += type_("蔵", 11, 0, 28, INK, SERIF)
    return g(b, f"translate({x} {y}) rotate({rot}) scale({s})")


def open_book(x, y, s=1, color=VERM):
    """An open book seen from behind, as a reader holds it."""
    b = path("M-62 -34Q-30 -46 0 -34Q30 -46 62 -34V38Q30 28 0 40Q-30 28 -62 38Z", color, INK, 5)
    b += path("M-56 -38Q-28 -52 0 -38Q28 -52 56 -38", "none", INK, 4)
    b += line("M0 -34V40", 4) + box(14, -20, 32, 24, CREAM, INK, 2.6)
    return g(b, f"translate({x} {y}) scale({s})")


# ---- the storehouse --------------------------------------------------------------------------------


def storehouse(x, y, s=1, door=0, glow=False, night=False):
    """The white-walled storehouse from the front; (x, y) is the middle of its foot, about 520 wide
    and 560 high. door: 0 closed to 1 wide open; glow: light inside."""
    wall, side = (PAPER, MIST) if not night else ("#e9ebea", "#b4c0cc")
    o = path("M-236 0V-26H236V0Z", "#8d8f8c", INK, 5)
    o += line("M-170 -26V0M-96 -13V0M-30 -26V-12M58 -26V0M140 -20V0", 3.5)
    shape = "M-200 -26V-316L0 -470L200 -316V-26Z"
    shade = flat("M-200 -330L0 -480L200 -330V-288L0 -432L-200 -288Z", side)
    shade += flat("M128 -400H210V-20H128Z", side)
    o += clip(shape, flat(shape, wall) + shade)
    o += line(shape, 5.5)
    low = "M-200 -158H200V-26H-200Z"
    o += clip(
        low,
        '<rect x="-200" y="-158" width="400" height="132" fill="url(#lattice)"/>'
        + flat("M128 -158H210V-20H128Z", INK, 0.22),
    ) + line(low, 5)
    o += box(-206, -170, 412, 14, wall, INK, 4.5)
    # the window under the gable with its thick shutters
    for k in (-1, 1):
        o += path(f"M{k * 36} -300L{k * 84} -308V-226L{k * 36} -234Z", wall, INK, 4.5)
        o += line(f"M{k * 44} -290L{k * 74} -296V-238L{k * 44} -244Z", 3)
    o += box(-38, -302, 76, 70, wall, INK, 5) + box(
        -27, -291, 54, 48, WARM if glow else INDIGO_D, INK, 4
    )
    o += line("M-13 -291V-243M0 -291V-243M13 -291V-243", 4)
    # the door
    o += path("M-86 -26V-196H86V-26Z", wall, INK, 5.5) + path(
        "M-76 -26V-186H76V-26Z", side, INK, 3.5
    )
    o += box(-64, -176, 128, 150, (WARM if glow else INDIGO_D), INK, 5)
    if door < 0.9:
        lw = 64 * (1 - door)
        for k in (-1, 1):
            edge = k * (64 - lw)
            o += path(
                f"M{k * 64} -176L{edge} {-176 - 10 * door}V{-26 + 8 * door}L{k * 64} -26Z",
                "#7a3a26",
                INK,
                4.5,
            )
            if lw > 30:
                o += line(f"M{k * 64 - k * lw * 0.5} {-174 - 5 * door}V-26", 3)
                o += line(
                    f"M{k * 64} -136L{edge} {-136 - 6 * door}M{k * 64} -66L{edge} {-66 + 4 * door}",
                    3,
                )
                o += dot(edge + k * 11, -100, 6, fill=STRAW)
    if door > 0.1:
        for k in (-1, 1):
            far = k * (90 + 62 * door)
            o += path(f"M{k * 86} -192L{far} -204V-14L{k * 86} -28Z", wall, INK, 5)
            o += line(f"M{k * 94} -178L{far - k * 9} -188V-32L{k * 94} -42Z", 3.2)
    # the roof
    roof = "M-266 -296Q-120 -392 0 -520Q120 -392 266 -296L246 -258Q120 -346 0 -462Q-120 -346 -246 -258Z"
    tiles = ""
    for i in range(1, 14):
        t = i / 14
        for k in (-1, 1):
            px = k * 258 * t
            py = -491 + 214 * (t**0.86)
            tiles += oval(px, py, 12, 12, INDIGO_D, "#8493a8", 3)
    o += blob(roof, "#3a4254", INDIGO_D, -6, -12, 6, tiles) + ""
    o += path("M-26 -500Q-30 -548 0 -566Q30 -548 26 -500Q0 -486 -26 -500Z", "#3a4254", INK, 5.5)
    o += oval(0, -523, 14, 14, STRAW, INK, 4)
    o += oval(0, -372, 40, 40, VERM, INK, 5) + type_("蔵", 0, -352, 54, PAPER, SERIF)
    return g(o, f"translate({x} {y}) scale({s})")


def lantern(x, y, s=1, text="蔵", lit=True, glow=150):
    """A paper lantern hanging from (x, y)."""
    o = ""
    if lit and glow:
        o += "".join(
            dot(0, 70, r, fill=WARM, opacity=0.13) for r in (glow, glow * 0.72, glow * 0.48)
        )
    o += line("M0 0V24", 4)
    d = "M-28 32Q-62 50 -62 82Q-62 114 -28 132H28Q62 114 62 82Q62 50 28 32Z"
    ribs = "".join(line(f"M-70 {v}Q0 {v + 9} 70 {v}", 2.4, VERM_D) for v in (46, 62, 78, 94, 110))
    o += blob(d, "#c8492f" if lit else VERM, VERM_D, -12, -4, 4.5, ribs)
    o += box(-28, 22, 56, 12, INK, INK, 3, 3) + box(-28, 130, 56, 12, INK, INK, 3, 3)
    o += type_(text, 0, 101, 52, CREAM, SERIF)
    return g(o, f"translate({x} {y}) scale({s})")


# ---- sky, weather, land ----------------------------------------------------------------------------


def sky(x, y, w, h, color):
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{color}"/>'


def tone(x, y, w, h, opacity=0.2, light=False):
    name = "tonelight" if light else "tone"
    return (
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="url(#{name})" opacity="{opacity}"/>'
    )


def cloud(x, y, s=1, fill=MIST, edge=INK, w=5):
    """A cloud of stacked bars with round ends."""
    bars = ((-120, 0, 250), (-60, -34, 190), (-10, -68, 90), (-150, 34, 170))
    o = "".join(line(f"M{a} {b}h{c}", 34 + 2 * w / s, edge) for a, b, c in bars)
    o += "".join(line(f"M{a} {b}h{c}", 35, fill) for a, b, c in bars)
    o += line("M-96 0h120M-20 -34h84M-120 34h70", 3, edge, 'opacity=".35"')
    return g(o, f"translate({x} {y}) scale({s})")


def rain(x, y, w, h, n=120, slant=0.35, seed=1, color=PAPER, lw=3, long=60, opacity=0.75):
    rnd = Random(seed)
    d = ""
    for _ in range(n):
        px, py = x + rnd.uniform(-0.1, 1.2) * w, y + rnd.uniform(-0.1, 1) * h
        ln = rnd.uniform(0.5, 1.3) * long
        d += f"M{px:.0f} {py:.0f}l{-ln * slant:.0f} {ln:.0f}"
    return line(d, lw, color, f'opacity="{opacity}"')


def splashes(x, y, w, n=10, seed=2, color=PAPER):
    rnd = Random(seed)
    d = ""
    for i in range(n):
        px, py = x + (i + rnd.random()) * w / n, y + rnd.uniform(-14, 14)
        d += (
            f"M{px - 12:.0f} {py:.0f}q-4 -10 -9 -13M{px:.0f} {py - 3:.0f}v-14"
            f"M{px + 12:.0f} {py:.0f}q4 -10 9 -13"
        )
    return line(d, 3, color)


def gust(x, y, s=1, color=PAPER, w=5, flip=False):
    """Wind: long lines, one ending in a curl."""
    d = (
        "M-200 0C-90 -30 30 -10 120 -18C190 -26 190 -92 140 -88C108 -84 116 -48 140 -52"
        "M-150 34C-60 10 70 34 200 14M-240 -34C-160 -58 -90 -46 -30 -52"
    )
    return g(line(d, w, color), f"translate({x} {y}) scale({-s if flip else s} {s})")


def rays(x, y, r1, r2, n=48, seed=4, color=INK, opacity=1):
    """Lines of surprise around a point, free between r1 and the middle."""
    rnd = Random(seed)
    d = ""
    for i in range(n):
        a = 2 * math.pi * (i + rnd.uniform(-0.3, 0.3)) / n
        half, near = rnd.uniform(0.006, 0.024), r1 * rnd.uniform(0.9, 1.25)
        d += (
            f"M{x + near * math.cos(a):.0f} {y + near * math.sin(a):.0f}"
            f"L{x + r2 * math.cos(a - half):.0f} {y + r2 * math.sin(a - half):.0f}"
            f"L{x + r2 * math.cos(a + half):.0f} {y + r2 * math.sin(a + half):.0f}Z"
        )
    return flat(d, color, opacity)


def hill(pts, fill, bottom, w=5, shade=None):
    """Land under a soft line through pts, down to bottom."""
    d = smooth(pts)
    area = d + f"L{pts[-1][0]} {bottom}L{pts[0][0]} {bottom}Z"
    o = flat(area, fill)
    if shade:
        o += clip(area, g(line(d, 44, shade, 'opacity=".5"'), "translate(0 14)"))
    return o + line(d, w)


def grass(x, y, n=5, s=1, color=INK, seed=5):
    rnd = Random(seed)
    d = ""
    for i in range(n):
        out = (i - (n - 1) / 2) * 2 / n
        d += f"M{out * 10:.0f} 0q{out * 4:.0f} -18 {out * 34 + rnd.uniform(-3, 3):.0f} -{30 - abs(out) * 12:.0f}"
    return g(line(d, 4, color), f"translate({x} {y}) scale({s})")


def pine(x, y, s=1, lean=0, dark=False):
    """A garden pine: a bent trunk and flat pads of needles."""
    a, b = (MOSS, MOSS_D) if not dark else ("#3d4b3a", "#2a3630")
    o = limb([(0, 10), (-14, -90), (18, -180), (-4, -270), (20, -330)], 26, BARK)
    o += limb([(10, -170), (60, -205), (96, -215)], 13, BARK)
    o += limb([(-6, -110), (-52, -150), (-88, -160)], 13, BARK)
    for cx, cy, rx in ((-96, -180, 86), (108, -236, 88), (-40, -300, 84), (34, -366, 92)):
        d = (
            f"M{cx - rx} {cy + 14}Q{cx - rx - 6} {cy - 20} {cx - rx * 0.55} {cy - 24}Q{cx - rx * 0.35} {cy - 58} {cx} {cy - 46}"
            f"Q{cx + rx * 0.4} {cy - 60} {cx + rx * 0.6} {cy - 24}Q{cx + rx + 8} {cy - 18} {cx + rx} {cy + 14}"
            f"Q{cx} {cy + 30} {cx - rx} {cy + 14}Z"
        )
        ticks = "".join(
            line(f"M{cx + t * rx:.0f} {cy - 2}l-7 -13m7 13l0 -15m0 15l7 -13", 2.6, b)
            for t in (-0.55, -0.1, 0.4)
        )
        o += blob(d, a, b, -4, -12, 5, ticks)
    return g(o, f"translate({x} {y}) rotate({lean}) scale({s})")


def stones(x, y, n, dx, dy, grow=1.12, fill="#9a9c98"):
    """Stepping stones that run toward the reader."""
    o, s = "", 1
    for i in range(n):
        o += oval(x, y, 46 * s, 15 * s, fill, INK, 4)
        x, y, s = x + dx * s, y + dy * s, s * grow
    return o


def planks(x, y, w, h, color="#8a6344", dark="#6a4a35"):
    o = box(x, y, w, h, color, "none", 0)
    for i in range(1, 5):
        yy = y + h * (i / 5) ** 1.4
        o += line(f"M{x} {yy:.0f}H{x + w}", 3.2, dark)
    return o
