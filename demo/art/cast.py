"""The cast: Pon the courier (a raccoon dog), Shiro the storekeeper (a cat), and the readers.

Every figure stands with its feet at (x, y). At scale 1 Pon is about 330 high with the hat. Faces take
eyes = open | happy | wide | worry | down | shut | tight and mouth = smile | open | flat | sad | o | grin;
look = (right, down), each -1 to 1, turns the face. Arms are named poses or lists of points from
the shoulder, x outward.
"""

from .pen import (
    BARK,
    CREAM,
    FUR,
    FUR_D,
    INDIGO,
    INDIGO_D,
    INK,
    MIST,
    MOSS,
    MOSS_D,
    MOSS_L,
    PAPER,
    SERIF,
    STRAW,
    STRAW_D,
    VERM,
    VERM_D,
    VERM_L,
    blob,
    dot,
    egg,
    flat,
    g,
    limb,
    line,
    oval,
    path,
    type_,
)
from .place import leaf

ARMS = {
    "down": [(0, 0), (20, 34), (16, 70)],
    "up": [(0, 0), (58, -20), (92, -96)],
    "wave": [(0, 0), (56, -4), (92, -66)],
    "out": [(0, 0), (46, 8), (88, -6)],
    "front": [(0, 0), (20, 42), (-22, 56)],
    "give": [(0, 0), (40, 30), (80, 14)],
    "hat": [(0, 0), (62, -36), (66, -122)],
    "knot": [(0, 0), (14, 30), (-36, 14)],
    "back": [(0, 0), (24, 36), (-4, 70)],
}

# ---- faces -----------------------------------------------------------------------------------------


def _eyes(kind, gap, y, r, look, white=True):
    o = ""
    for k in (-1, 1):
        x = k * gap
        if kind in ("happy", "shut"):
            bow = -r * 1.3 if kind == "happy" else r * 0.9
            o += line(f"M{x - r} {y}Q{x} {y + bow} {x + r} {y}", 6, INK if not white else PAPER)
            continue
        if kind == "tight":
            o += line(
                f"M{x - k * r} {y - r * 0.8}L{x + k * r} {y}L{x - k * r} {y + r * 0.8}"
                if k < 0
                else f"M{x + r} {y - r * 0.8}L{x - r} {y}L{x + r} {y + r * 0.8}",
                6,
                INK if not white else PAPER,
            )
            continue
        big = 1.28 if kind == "wide" else 1
        if white:
            o += oval(x, y, r * big, r * 1.12 * big, PAPER, INK, 3.5)
            pr = r * (0.38 if kind == "wide" else 0.66)
        else:
            pr = r * 0.82 * (0.8 if kind == "wide" else 1)
        px, py = x + look[0] * r * 0.26, y + (look[1] * r * 0.3 if kind != "down" else r * 0.34)
        o += dot(px, py, pr, pr * 1.16) + dot(px - pr * 0.32, py - pr * 0.42, pr * 0.34, fill=PAPER)
        if kind == "down" and white:
            o += path(f"M{x - r - 3} {y - 1}Q{x} {y - r * 1.9} {x + r + 3} {y - 1}Z", BARK, INK, 3)
        if kind == "worry":
            o += line(f"M{x - k * r * 1.1} {y - r * 2.2}L{x + k * r * 1.2} {y - r * 1.5}", 5)
    return o


def _mouth(kind, y, w):
    if kind == "smile":
        return line(f"M{-w} {y}Q{-w / 2} {y + w * 0.8} 0 {y}Q{w / 2} {y + w * 0.8} {w} {y}", 4.5)
    if kind == "grin":
        return path(
            f"M{-w} {y}Q0 {y + 6} {w} {y}Q{w * 0.8} {y + w * 1.3} 0 {y + w * 1.3}Q{-w * 0.8} {y + w * 1.3} {-w} {y}Z",
            VERM_D,
            INK,
            4.5,
        )
    if kind == "open":
        return path(
            f"M{-w * 0.7} {y + 2}Q0 {y - 4} {w * 0.7} {y + 2}Q{w * 0.6} {y + w * 1.2} 0 {y + w * 1.2}"
            f"Q{-w * 0.6} {y + w * 1.2} {-w * 0.7} {y + 2}Z",
            VERM_D,
            INK,
            4.5,
        )
    if kind == "o":
        return oval(0, y + w * 0.5, w * 0.42, w * 0.55, VERM_D, INK, 4.5)
    if kind == "sad":
        return line(f"M{-w * 0.8} {y + w * 0.6}Q0 {y - w * 0.3} {w * 0.8} {y + w * 0.6}", 4.5)
    return line(f"M{-w * 0.7} {y + 4}Q0 {y} {w * 0.7} {y + 5}", 4.5)


def _arm(side, pose, w, sleeve, paw, shoulder):
    pts = ARMS[pose] if isinstance(pose, str) else pose
    pts = [(side * (shoulder[0] + px), shoulder[1] + py) for px, py in pts]
    a, b = pts[-2], pts[-1]
    cut = [*pts[:-1], (a[0] + (b[0] - a[0]) * 0.45, a[1] + (b[1] - a[1]) * 0.45)]
    return limb(pts, w, paw) + limb(cut, w + 8, sleeve)


def _stack(poses, arms, head):
    """Raised arms go in front of the head, the others behind it."""
    high = [p in ("up", "wave", "hat") for p in poses]
    return (
        "".join(a for a, h in zip(arms, high) if not h)
        + head
        + "".join(a for a, h in zip(arms, high) if h)
    )


# ---- Pon -------------------------------------------------------------------------------------------


def pon_head(eyes="open", mouth="smile", look=(0, 0), hat=True, sweat=False):
    """The head alone, its middle at (0, 0), about 220 wide."""
    o = ""
    for k in () if hat else (-1, 1):
        o += blob(egg(k * 72, -72, 33, 34), FUR, FUR_D, -8, -4) + dot(k * 72, -70, 17, 18, BARK)
    head = (
        "M-104 6C-108 -62 -58 -98 0 -98C58 -98 108 -62 104 6L122 34L98 40L102 60L80 62"
        "C58 88 30 96 0 96C-30 96 -58 88 -80 62L-102 60L-98 40L-122 34Z"
    )
    fx, fy = look[0] * 14, look[1] * 9
    face = (
        flat("M-20 -4C-40 -40 -92 -30 -96 18C-92 52 -50 58 -26 34C-14 22 -12 8 -20 -4Z", BARK)
        + flat("M20 -4C40 -40 92 -30 96 18C92 52 50 58 26 34C14 22 12 8 20 -4Z", BARK)
        + dot(-42, -50, 24, 12, CREAM, rot=-18)
        + dot(42, -50, 24, 12, CREAM, rot=18)
        + flat("M-14 -20Q0 -30 14 -20Q22 24 54 44Q44 90 0 92Q-44 90 -54 44Q-22 24 -14 -20Z", CREAM)
    )
    face += dot(-70, 52, 17, 10, VERM_L, 0.9) + dot(70, 52, 17, 10, VERM_L, 0.9)
    o += blob(head, FUR, FUR_D, -12, -10, 5.5, g(face, f"translate({fx} {fy})"))
    feat = _eyes(eyes, 46, 8, 17, look) + path(
        "M-15 28Q0 18 15 28Q10 42 0 43Q-10 42 -15 28Z", INK, INK, 3
    )
    feat += dot(-4, 29, 4, 2.6, PAPER) + line("M0 43V52", 4) + _mouth(mouth, 52, 20)
    o += g(feat, f"translate({fx} {fy})")
    if hat:
        d = "M-164 -48C-110 -78 -40 -130 0 -164C40 -130 110 -78 164 -48C100 -24 -100 -24 -164 -48Z"
        weave = "".join(
            line(f"M0 -164L{t} -20", 3, STRAW_D) for t in (-130, -86, -44, 0, 44, 86, 130)
        )
        weave += line("M-84 -88Q0 -66 84 -88M-44 -124Q0 -110 44 -124", 3, STRAW_D)
        o += blob(d, STRAW, STRAW_D, -16, -12, 5.5, weave)
        o += line("M-92 -40Q-112 30 -62 84M92 -40Q112 30 62 84", 3.5, VERM)
    if sweat:
        o += path("M118 -34Q104 -10 118 -2Q132 -10 118 -34Z", MIST, INK, 3.5)
    return o


def pon(
    x,
    y,
    s=1,
    flip=False,
    lean=0,
    legs="stand",
    arms=("down", "down"),
    eyes="open",
    mouth="smile",
    look=(0, 0),
    hat=True,
    bundle=False,
    tilt=0,
    sweat=False,
    held="",
    back="",
):
    """held is drawn between the body and the arms, back behind everything."""
    tail = "M40 -60C110 -60 150 -110 132 -150C124 -172 92 -160 84 -132C78 -108 60 -96 40 -96Z"
    o = back + blob(tail, FUR, FUR_D, -6, -8, 5, flat("M100 -180H160V-126H84Z", BARK))
    if bundle:
        o += furoshiki(0, -190, 1.22)
    feet = {
        "stand": ((-30, 0), (30, 0)),
        "walk": ((-46, -4), (34, -12)),
        "run": ((-70, -34), (60, 0)),
        "leap": ((-64, -26), (44, -40)),
        "wide": ((-48, 0), (48, 0)),
    }[legs]
    for k, (fx, fy) in zip((-1, 1), feet):
        o += limb(
            [(k * 30, -52), ((k * 30 + fx) / 2 + k * 3, -30 + fy / 2), (fx, fy - 14)], 30, BARK
        )
        o += path(
            f"M{fx - 24} {fy}Q{fx - 26} {fy - 24} {fx} {fy - 24}Q{fx + 26} {fy - 24} {fx + 24} {fy}Z",
            BARK,
            INK,
            5,
        )
    body = "M-52 -172C-96 -130 -96 -50 -62 -32C-30 -20 30 -20 62 -32C96 -50 96 -130 52 -172Z"
    coat = (
        dot(0, -86, 48, 58, CREAM)
        + flat("M-110 -190H-18Q-44 -110 -60 -20H-120Z", VERM)
        + flat("M110 -190H18Q44 -110 60 -20H120Z", VERM_D)
        + line("M-22 -180Q-48 -110 -62 -20M22 -180Q48 -110 62 -20", 16, INK)
        + line("M-22 -180Q-48 -110 -62 -20M22 -180Q48 -110 62 -20", 9, CREAM)
        + line("M-16 -66Q0 -56 16 -66", 3.5, FUR_D)
    )
    o += blob(body, FUR, FUR_D, -10, -8, 5.5, coat)
    if bundle:
        o += line("M-58 -160Q-20 -132 0 -134Q20 -132 58 -160", 22) + line(
            "M-58 -160Q-20 -132 0 -134Q20 -132 58 -160", 13, INDIGO
        )
        o += path(
            "M0 -134Q-38 -118 -34 -98Q-12 -104 0 -130Q12 -104 34 -98Q38 -118 0 -134Z",
            INDIGO,
            INK,
            4.5,
        )
        o += oval(0, -134, 13, 11, INDIGO, INK, 4.5)
    drawn = (
        _arm(-1, arms[0], 26, VERM, BARK, (60, -146)),
        _arm(1, arms[1], 26, VERM_D, BARK, (60, -146)),
    )
    head = g(pon_head(eyes, mouth, look, hat, sweat), f"translate(0 -228) rotate({tilt})")
    o += held + _stack(arms, drawn, head)
    return g(o, f"translate({x} {y}) rotate({lean}) scale({-s if flip else s} {s})")


def furoshiki(x, y, s=1, pages=True):
    """The carrying cloth, full of pages."""
    o = ""
    if pages:
        o += (
            leaf(-104, -62, 0.9, -52, 4, 1)
            + leaf(108, -58, 0.9, 50, -4, 2)
            + leaf(70, -96, 0.9, 24, 3, 5)
        )
    dots = "".join(
        dot(px, py, 7, fill=MIST)
        for py in range(-80, 110, 36)
        for px in range(-140 + (py // 36 % 2) * 20, 150, 40)
    )
    o += blob(
        "M-126 10C-130 -66 -70 -96 0 -96C70 -96 130 -66 126 10C122 72 70 92 0 92C-70 92 -122 72 -126 10Z",
        INDIGO,
        INDIGO_D,
        -12,
        -12,
        5.5,
        dots,
    )
    return g(o, f"translate({x} {y}) scale({s})")


# ---- Shiro -----------------------------------------------------------------------------------------


def shiro_head(eyes="open", mouth="smile", look=(0, 0)):
    """The head alone, its middle at (0, 0), about 210 wide. A calico with round glasses."""
    head = (
        "M-98 -18C-104 -60 -100 -112 -84 -124C-70 -126 -50 -104 -38 -86Q0 -94 38 -86"
        "C50 -104 70 -126 84 -124C100 -112 104 -60 98 -18C108 30 90 84 0 86C-90 84 -108 30 -98 -18Z"
    )
    patch = flat("M-120 -140H-18C-20 -100 -16 -62 -34 -46C-60 -34 -96 -40 -120 -20Z", FUR)
    patch += flat("M120 -140H36C40 -110 34 -90 46 -72C64 -58 90 -66 120 -44Z", "#3b3632")
    fx, fy = look[0] * 14, look[1] * 9
    cheeks = dot(-66, 40, 17, 10, VERM_L, 0.85) + dot(66, 40, 17, 10, VERM_L, 0.85)
    o = blob(head, PAPER, MIST, -12, -10, 5.5, patch + g(cheeks, f"translate({fx} {fy})"))
    o += path("M-82 -104Q-66 -94 -56 -80L-84 -66Q-88 -90 -82 -104Z", VERM_L, INK, 3.5)
    o += path("M82 -104Q66 -94 56 -80L84 -66Q88 -90 82 -104Z", VERM_L, INK, 3.5)
    f = _eyes(eyes, 42, 4, 16, look, white=False)
    f += oval(-42, 4, 31, 31, "none", VERM_D, 4.5) + oval(42, 4, 31, 31, "none", VERM_D, 4.5)
    f += line("M-12 0Q0 -8 12 0", 4.5, VERM_D)
    f += path("M-9 32Q0 26 9 32Q5 40 0 41Q-5 40 -9 32Z", VERM, INK, 3) + _mouth(mouth, 43, 16)
    f += line("M-62 44L-112 36M-62 54L-110 60M62 44L112 36M62 54L110 60", 3)
    return o + g(f, f"translate({fx} {fy})")


def shiro(
    x,
    y,
    s=1,
    flip=False,
    lean=0,
    arms=("down", "down"),
    eyes="open",
    mouth="smile",
    look=(0, 0),
    tilt=0,
    held="",
    hidden=False,
):
    """hidden: only head, arms and upper body are seen, as behind a counter."""
    o = line("M50 -40C120 -30 130 -90 112 -130C104 -154 124 -170 136 -160", 30)
    o += line("M50 -40C120 -30 130 -90 112 -130C104 -154 124 -170 136 -160", 20, PAPER)
    o += line("M117 -141C108 -156 124 -170 136 -160", 20, "#3b3632")
    if not hidden:
        for k in (-1, 1):
            o += path(
                f"M{k * 34 - 28} 0Q{k * 34 - 28} -24 {k * 34} -24Q{k * 34 + 28} -24 {k * 34 + 28} 0Z",
                PAPER,
                INK,
                5,
            )
    body = "M-50 -176C-74 -150 -84 -60 -82 -16Q0 0 82 -16C84 -60 74 -150 50 -176Z"
    wear = (
        flat("M-40 -190L0 -120L40 -190Z", PAPER)
        + line("M-44 -184L6 -112M44 -184L0 -122", 15)
        + line("M-44 -184L6 -112M44 -184L0 -122", 8, CREAM)
        + path("M-58 -112H58L64 -4H-64Z", INDIGO, INK, 5)
        + flat("M30 -110H58L64 -4H38Z", INDIGO_D)
        + line("M-90 -112H90", 17)
        + line("M-90 -112H90", 9, VERM)
    )
    o += blob(body, MOSS, MOSS_D, -10, -6, 5.5, wear)
    o += type_("蔵", 0, -38, 52, PAPER, SERIF)
    drawn = (
        _arm(-1, arms[0], 24, MOSS, PAPER, (56, -150)),
        _arm(1, arms[1], 24, MOSS_D, PAPER, (56, -150)),
    )
    head = g(shiro_head(eyes, mouth, look), f"translate(0 -236) rotate({tilt})")
    o += held + _stack(arms, drawn, head)
    return g(o, f"translate({x} {y}) rotate({lean}) scale({-s if flip else s} {s})")


# ---- readers ---------------------------------------------------------------------------------------


def frog(
    x, y, s=1, flip=False, eyes="open", mouth="smile", arms=("down", "down"), look=(0, 0), held=""
):
    o = ""
    for k in (-1, 1):
        o += path(
            f"M{k * 20} -6Q{k * 84} -70 {k * 84} -20Q{k * 96} 0 {k * 60} 0H{k * 14}Z", MOSS, INK, 5
        )
    o += blob(
        "M-58 -60C-66 -10 -30 0 0 0C30 0 66 -10 58 -60C50 -110 -50 -110 -58 -60Z",
        MOSS,
        MOSS_D,
        -8,
        -8,
        5,
        dot(0, -30, 34, 38, CREAM),
    )
    o += (
        held
        + _arm(-1, arms[0], 15, MOSS, MOSS, (44, -66))
        + _arm(1, arms[1], 15, MOSS_D, MOSS_D, (44, -66))
    )
    head = (
        "M-84 -118C-84 -140 -76 -150 -72 -158C-74 -186 -30 -192 -24 -166Q0 -172 24 -166C30 -192 74 -186 72 -158"
        "C76 -150 84 -140 84 -118C80 -78 40 -70 0 -70C-40 -70 -80 -78 -84 -118Z"
    )
    o += blob(head, MOSS, MOSS_D, -10, -8, 5, dot(0, -84, 66, 22, MOSS_L))
    f = (
        _eyes(eyes, 47, -158, 14, look)
        if eyes not in ("happy", "shut")
        else g(_eyes(eyes, 47, -152, 14, look, False))
    )
    f += dot(-58, -112, 12, 7, VERM_L) + dot(58, -112, 12, 7, VERM_L)
    f += (
        line("M-44 -112Q0 -86 44 -112", 5)
        if mouth == "smile"
        else path("M-40 -114Q0 -106 40 -114Q26 -80 0 -80Q-26 -80 -40 -114Z", VERM_D, INK, 4.5)
    )
    return g(o + f, f"translate({x} {y}) scale({-s if flip else s} {s})")


def _small(x, y, s, flip, coat, coat_d, paw, ears, head, face, arms, held, tail=""):
    """Body shared by the rabbit and the fox."""
    o = tail
    for k in (-1, 1):
        o += path(
            f"M{k * 26 - 24} 0Q{k * 26 - 24} -20 {k * 26} -20Q{k * 26 + 24} -20 {k * 26 + 24} 0Z",
            paw,
            INK,
            5,
        )
    o += blob(
        "M-40 -136C-64 -110 -68 -40 -64 -12Q0 0 64 -12C68 -40 64 -110 40 -136Z",
        coat,
        coat_d,
        -8,
        -6,
        5,
        line("M-34 -140L6 -92L40 -140", 14) + line("M-34 -140L6 -92L40 -140", 8, CREAM),
    )
    o += (
        held
        + _arm(-1, arms[0], 19, coat, paw, (46, -116))
        + _arm(1, arms[1], 19, coat_d, paw, (46, -116))
    )
    return g(
        o + g(ears + head + face, "translate(0 -184)"),
        f"translate({x} {y}) scale({-s if flip else s} {s})",
    )


def rabbit(
    x,
    y,
    s=1,
    flip=False,
    eyes="open",
    mouth="smile",
    arms=("down", "down"),
    look=(0, 0),
    held="",
    coat=INDIGO,
):
    ears = ""
    for k, rot in ((-1, -10), (1, 14)):
        ears += g(
            blob("M-20 0C-34 -70 -22 -124 0 -126C22 -124 34 -70 20 0Z", PAPER, MIST, -6, -4)
            + flat("M-9 -16C-16 -64 -10 -100 0 -104C10 -100 16 -64 9 -16Z", VERM_L),
            f"translate({k * 32} -44) rotate({rot})",
        )
    head = blob(
        "M-80 0C-82 -44 -50 -66 0 -66C50 -66 82 -44 80 0C84 44 50 62 0 62C-50 62 -84 44 -80 0Z",
        PAPER,
        MIST,
        -10,
        -8,
    )
    f = (
        dot(-52, 26, 14, 9, VERM_L, 0.9)
        + dot(52, 26, 14, 9, VERM_L, 0.9)
        + _eyes(eyes, 34, 0, 13, look, False)
        + path("M-7 18Q0 14 7 18L0 25Z", VERM, INK, 3)
        + _mouth(mouth, 27, 12)
    )
    dark = {INDIGO: INDIGO_D, VERM: VERM_D, MOSS: MOSS_D}[coat]
    return _small(
        x,
        y,
        s,
        flip,
        coat,
        dark,
        PAPER,
        ears,
        head,
        g(f, f"translate({look[0] * 10} {look[1] * 7})"),
        arms,
        held,
    )


def fox(
    x,
    y,
    s=1,
    flip=False,
    eyes="open",
    mouth="smile",
    arms=("down", "down"),
    look=(0, 0),
    held="",
    coat=MOSS,
):
    orange, orange_d = "#cf7d3c", "#a85f2a"
    ears = ""
    for k in (-1, 1):
        ears += path(f"M{k * 18} -46L{k * 66} -114Q{k * 90} -70 {k * 76} -22Z", orange, INK, 5)
        ears += flat(f"M{k * 44} -60L{k * 62} -92Q{k * 74} -66 {k * 68} -42Z", BARK)
    head = blob(
        "M-78 -10C-74 -50 -40 -64 0 -64C40 -64 74 -50 78 -10L98 22C60 50 30 66 0 66C-30 66 -60 50 -98 22Z",
        orange,
        orange_d,
        -8,
        -8,
        5,
        flat("M-110 24C-60 0 -34 8 0 20C34 8 60 0 110 24V90H-110Z", PAPER),
    )
    f = (
        _eyes(eyes, 36, -8, 13, look, False)
        + path("M-10 20Q0 12 10 20Q6 31 0 32Q-6 31 -10 20Z", INK, INK, 3)
        + _mouth(mouth, 34, 12)
        + dot(-56, 20, 12, 8, VERM_L, 0.8)
        + dot(56, 20, 12, 8, VERM_L, 0.8)
    )
    tail = blob(
        "M40 -30C100 -20 150 -70 128 -130C96 -130 96 -76 40 -70Z",
        orange,
        orange_d,
        -6,
        -6,
        5,
        flat("M90 -140H160V-98Q120 -90 100 -106Z", PAPER),
    )
    dark = {INDIGO: INDIGO_D, VERM: VERM_D, MOSS: MOSS_D}[coat]
    return _small(
        x,
        y,
        s,
        flip,
        coat,
        dark,
        BARK,
        ears,
        head,
        g(f, f"translate({look[0] * 10} {look[1] * 7})"),
        arms,
        held,
        tail,
    )
