"""The pages. Each function draws one page and returns its SVG; CHAPTERS at the end lists them all."""

from .cast import fox, frog, pon, pon_head, rabbit, shiro, shiro_head
from .pen import (
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
    SANS,
    SERIF,
    STRAW,
    STRAW_D,
    VERM,
    VERM_D,
    WARM,
    balloon,
    blob,
    box,
    caption,
    clip,
    dot,
    egg,
    flat,
    g,
    letters,
    limb,
    line,
    oval,
    panel,
    path,
    sheet,
    sound,
    type_,
)
from .place import (
    book,
    cloud,
    flock,
    grass,
    gust,
    hill,
    lantern,
    leaf,
    open_book,
    pile,
    pine,
    planks,
    rain,
    rays,
    shelf,
    sky,
    splashes,
    stones,
    storehouse,
    tone,
)

W, H = 1000, 1414
DAY, DUSK, STORM, NIGHT = "#dbe4e2", "#8fa2b8", "#566a8a", "#22304e"


# ---- chapter 1: The Loose Pages --------------------------------------------------------------------


def cover():
    b = sky(-9, -9, 1018, 1432, INDIGO_D) + tone(0, 0, W, H, 0.10, True)
    b += dot(500, 724, 400, fill=VERM)
    b += line(
        "M60 640h210M130 676h250M-20 712h170M690 560h260M760 596h300M640 1000h380", 15, INDIGO_D
    )
    b += cloud(110, 980, 1.1, INDIGO, INK, 6) + cloud(930, 900, 1.15, INDIGO, INK, 6)
    b += pine(110, 1190, 1.05, -4, True) + pine(920, 1190, 1.0, 6, True)
    b += hill([(-20, 1150), (250, 1090), (500, 1076), (760, 1090), (1020, 1140)], MOSS_D, 1440, 6)
    b += storehouse(500, 1120, 1.16, door=0.75, glow=True)
    b += hill(
        [(-20, 1290), (200, 1240), (480, 1262), (760, 1232), (1020, 1290)], MOSS, 1440, 6, MOSS_D
    )
    b += flat("M428 1092H572L760 1440H240Z", WARM, 0.28)
    b += (
        grass(60, 1300, 6, 1.1, MOSS_D)
        + grass(850, 1300, 6, 1.1, MOSS_D)
        + grass(560, 1390, 5, 1, MOSS_D)
    )
    b += flock(
        [
            (560, 1300, 0.9),
            (690, 1330, 1.3),
            (700, 1190, 1.05),
            (820, 1230, 1.35),
            (840, 1080, 1.3),
            (930, 970, 1.4),
            (890, 810, 1.25),
            (800, 690, 1.1),
            (810, 560, 0.95),
            (690, 490, 0.8),
            (580, 470, 0.66),
            (120, 790, 0.9),
            (190, 640, 0.8),
            (330, 540, 0.66),
        ],
        11,
    )
    b += pon(
        282,
        1384,
        1.2,
        lean=-5,
        legs="run",
        arms=("hat", "out"),
        eyes="wide",
        mouth="open",
        look=(0.8, -0.5),
        bundle=True,
    )
    b += type_(
        "KURA",
        356,
        300,
        262,
        PAPER,
        SERIF,
        extra='textLength="610" lengthAdjust="spacingAndGlyphs"',
    )
    b += box(716, 84, 228, 236, VERM, PAPER, 7, 10) + type_("蔵", 830, 278, 204, PAPER, SERIF)
    b += letters("A SMALL STORY ABOUT LOOSE PAGES", 500, 384, 25, CREAM)
    return sheet(W, H, b)


def windy():
    a = sky(40, 40, 920, 580, DAY) + cloud(300, 232, 0.66, PAPER) + cloud(860, 130, 1.3, "#8c9bb0")
    a += hill([(30, 440), (240, 380), (520, 430), (760, 370), (980, 420)], MOSS_L, 640)
    a += hill([(30, 560), (300, 500), (620, 530), (980, 470)], MOSS, 640, 5, MOSS_D)
    a += grass(90, 556, 5) + grass(430, 534, 4) + grass(820, 520, 6)
    a += pine(150, 520, 0.62, -8) + gust(720, 300, 0.8, PAPER, 8) + gust(300, 330, 0.6, PAPER, 8)
    a += pon(
        560,
        566,
        0.94,
        lean=4,
        legs="walk",
        bundle=True,
        eyes="happy",
        mouth="grin",
        arms=("wave", "down"),
    )
    b = sky(40, 638, 451, 340, "#c5d0d4") + tone(40, 638, 451, 340, 0.12)
    b += g(pon_head("open", "flat", (0.1, -1)), "translate(258 880) scale(1.45)")
    b += path("M259 836Q236 876 259 888Q282 876 259 836Z", PAPER, INK, 4)
    b += line("M226 884l-22 -12M292 884l22 -12", 4.5)
    c = sky(509, 638, 451, 340, DUSK) + tone(509, 638, 451, 340, 0.2)
    c += cloud(620, 760, 1.15, "#4c5a74", INK, 6) + cloud(880, 720, 1.25, "#4c5a74", INK, 6)
    c += hill([(500, 930), (640, 900), (980, 940)], MOSS_D, 990)
    c += pon(730, 962, 0.4, bundle=True, look=(0, -1)) + rain(
        509, 760, 451, 180, 16, 0.2, 3, INDIGO_D, 3.4, 40
    )
    d = sky(40, 996, 920, 380, STORM) + tone(40, 996, 920, 380, 0.16)
    d += hill([(30, 1290), (320, 1270), (700, 1300), (980, 1270)], MOSS_D, 1390)
    d += rain(40, 990, 920, 390, 110, 0.5, 7, MIST, 3.4, 74) + splashes(60, 1346, 880, 11)
    d += pon(
        430,
        1352,
        0.9,
        lean=7,
        legs="run",
        bundle=True,
        eyes="tight",
        mouth="open",
        arms=("hat", "back"),
    )
    body = panel((40, 40, 920, 580), a) + caption(
        ["A HUNDRED LOOSE PAGES.", "ONE GOOD KNOT."], 64, 64
    )
    body += panel((40, 638, 451, 340), b) + sound("ぽつ", 96, 736, 64)
    body += panel((509, 638, 451, 340), c) + panel((40, 996, 920, 380), d)
    body += sound("ザアア", 92, 1110, 104, -6, PAPER, INK)
    body += balloon(["NOT TODAY!", "PLEASE!"], 790, 1104, (578, 1176), 27)
    return sheet(W, H, body)


def knot():
    a = sky(30, 30, 940, 680, STORM) + tone(30, 30, 940, 680, 0.18)
    a += cloud(160, 110, 1.2, "#3d4c69", INK, 6) + cloud(640, 90, 1.3, "#3d4c69", INK, 6)
    a += hill([(30, 640), (400, 560), (980, 500)], MOSS_D, 720)
    a += gust(250, 330, 1.05, MIST, 7, True) + gust(800, 200, 0.8, MIST, 7, True)
    a += pon(
        560,
        590,
        1.12,
        lean=-15,
        legs="wide",
        bundle=True,
        eyes="tight",
        mouth="flat",
        arms=("hat", "knot"),
        sweat=True,
    )
    a += rain(30, 30, 940, 660, 120, -1.5, 4, PAPER, 3.4, 66)
    b = (
        sky(30, 600, 460, 790, VERM)
        + f'<g opacity=".35">{rays(262, 1010, 190, 700, 40, 6, VERM_D)}</g>'
    )
    cloth = "".join(
        dot(x, y, 12, fill=MIST)
        for x, y in (
            (90, 1240),
            (180, 1200),
            (270, 1180),
            (360, 1210),
            (440, 1250),
            (130, 1310),
            (225, 1275),
            (320, 1275),
            (410, 1320),
            (70, 1380),
            (180, 1365),
            (275, 1365),
            (360, 1380),
        )
    )
    b += leaf(96, 1120, 1.7, -34, 10, 2, 3) + leaf(424, 1110, 1.7, 30, -10, 5, 3)
    b += blob(
        "M20 1400V1200Q140 1090 262 1090Q390 1090 500 1200V1400Z",
        INDIGO,
        INDIGO_D,
        -14,
        10,
        7,
        cloth,
    )
    b += blob(
        "M256 1062Q110 1060 96 900Q90 800 150 770Q170 880 282 1010Z", INDIGO, INDIGO_D, -10, -8, 7
    )
    b += blob(
        "M270 1062Q420 1040 430 890Q432 820 380 760Q350 900 250 1010Z", INDIGO, INDIGO_D, -10, -8, 7
    )
    b += blob(egg(264, 1044, 62, 52), INDIGO, INDIGO_D, -10, -8, 7) + line(
        "M240 1020Q262 1046 250 1076", 5
    )
    b += line(
        "M70 860q-18 -30 -8 -62M456 850q20 -28 12 -60M212 940q-6 -20 2 -40M318 930q8 -20 2 -40",
        6,
        PAPER,
    )
    c = sky(480, 560, 490, 830, PAPER) + rays(724, 1110, 330, 820, 64, 9)
    c += flock([(556, 900, 1.15), (900, 850, 1.3), (600, 740, 0.9), (860, 690, 0.8)], 16)
    c += pon(726, 1500, 1.24, eyes="wide", mouth="o", arms=("up", "up"), sweat=True)
    body = panel([(40, 40), (960, 40), (960, 560), (40, 668)], a)
    body += sound("ビュウウ", 92, 170, 92, -4, PAPER, INK)
    body += panel([(40, 690), (470, 640), (470, 1374), (40, 1374)], b) + sound(
        "するり", 150, 750, 62, -4, PAPER, INK
    )
    body += panel([(490, 637), (960, 582), (960, 1374), (490, 1374)], c)
    body += letters("AH!", 736, 900, 84, VERM, weight=0.22)
    return sheet(W, H, body)


def scatter():
    b = sky(-9, -9, 1018, 1432, INDIGO) + tone(0, 0, W, H, 0.16)
    b += cloud(120, 130, 1.4, INDIGO_D, INK, 6) + cloud(820, 230, 1.5, INDIGO_D, INK, 6)
    b += cloud(500, 60, 1.2, INDIGO_D, INK, 6)
    b += (
        gust(330, 520, 1.5, INDIGO_L, 7)
        + gust(700, 830, 1.3, INDIGO_L, 7, True)
        + gust(240, 940, 1, INDIGO_L, 7)
    )
    b += hill([(-20, 1330), (240, 1270), (560, 1300), (1020, 1230)], MOSS_D, 1440, 6)
    b += rain(0, 0, W, H, 130, 0.5, 12, MIST, 3.2, 60, 0.5)
    b += flock(
        [
            (470, 930, 0.9),
            (580, 985, 1),
            (700, 960, 1.1),
            (800, 880, 1.2),
            (850, 760, 1.3),
            (800, 640, 1.25),
            (690, 560, 1.15),
            (550, 520, 1.1),
            (410, 510, 1.05),
            (280, 450, 1.15),
            (210, 350, 1.05),
            (280, 250, 0.9),
            (410, 200, 0.8),
            (560, 210, 0.75),
            (690, 260, 0.7),
            (780, 340, 0.62),
            (620, 360, 0.6),
            (480, 330, 0.66),
            (900, 1060, 1.5),
            (104, 610, 1.5),
        ],
        21,
    )
    b += leaf(890, 1310, 2.1, 24, 12, 3) + leaf(120, 1300, 2.0, -30, -10, 4)
    b += dot(460, 1336, 130, 18, INK, 0.35)
    b += pon(
        450,
        1290,
        1.12,
        lean=8,
        legs="leap",
        eyes="wide",
        mouth="open",
        arms=("up", "up"),
        look=(0.4, -1),
    )
    b += sound("ぱらぱら", 930, 120, 92, 4, PAPER, INK, 108, True)
    b += balloon(["WAIT!", "COME BACK!"], 206, 800, (366, 946), 30, shout=True)
    return sheet(W, H, b)


def gather():
    a = sky(40, 40, 451, 430, STORM) + tone(40, 40, 451, 430, 0.14) + pine(330, 520, 1.15, -6)
    a += leaf(236, 170, 1.05, -18, 8, 8) + rain(40, 40, 451, 430, 40, 0.5, 3, MIST, 3.2, 54)
    a += pon(130, 490, 0.62, arms=("down", "up"), look=(0.6, -1), eyes="worry", mouth="o")
    b = (
        sky(509, 40, 451, 430, STORM)
        + tone(509, 40, 451, 430, 0.14)
        + flat("M500 250Q730 220 970 250V480H500Z", MOSS_D)
    )
    b += oval(700, 370, 180, 62, INDIGO_L, INK, 5) + line(
        "M580 372q60 -22 120 -8M660 400q70 14 130 -8", 4, PAPER
    )
    b += (
        leaf(690, 356, 1.15, 72, 8, 6) + grass(540, 290, 5, 1.1, INK) + grass(850, 460, 5, 1.1, INK)
    )
    b += frog(890, 306, 0.42, arms=("down", "up"), look=(-0.6, 0)) + g(
        leaf(0, 0, 0.95, 82, 12, 1), "translate(892 198)"
    )
    b += rain(509, 40, 451, 430, 40, 0.5, 8, MIST, 3.2, 54) + splashes(560, 440, 200, 3)
    c = sky(40, 488, 920, 400, "#43567a") + tone(40, 488, 920, 400, 0.14)
    c += hill([(30, 800), (330, 770), (700, 800), (980, 760)], MOSS_D, 900)
    for i, (x, lift, eyes, m) in enumerate(
        ((150, 0, "tight", "flat"), (404, 34, "wide", "open"), (730, 0, "happy", "smile"))
    ):
        arms = (("down", "out"), ("up", "up"), ("front", "front"))[i]
        c += dot(x, 862, 66, 9, INK, 0.3)
        held = pile(0, -92, 7, 0.9, 2) if i == 2 else ""
        c += pon(
            x,
            862 - lift,
            0.72,
            legs=("run", "leap", "stand")[i],
            eyes=eyes,
            mouth=m,
            arms=arms,
            lean=(5, 0, 0)[i],
            look=((1, 0.4), (0, -1), (0, 0))[i],
            held=held,
        )
    c += (
        leaf(262, 770, 0.86, 24, 8, 4)
        + leaf(290, 632, 0.8, -20, 8, 7)
        + leaf(522, 632, 0.8, 24, -8, 9)
    )
    c += rain(40, 488, 920, 400, 80, 0.5, 9, MIST, 3.2, 54)
    d = sky(40, 906, 920, 468, NIGHT) + tone(40, 906, 920, 468, 0.10, True)
    d += hill([(30, 1310), (500, 1280), (980, 1320)], "#39452f", 1390)
    d += pon(
        330,
        1450,
        1.35,
        eyes="worry",
        mouth="sad",
        arms=("front", "front"),
        look=(0.5, -0.3),
        held=pile(0, -86, 9, 1, 5),
    )
    d += rain(40, 906, 920, 468, 80, 0.2, 19, MIST, 3, 46, 0.6)
    body = panel((40, 40, 451, 430), a) + panel((509, 40, 451, 430), b)
    body += caption(["ONE IN A PINE."], 62, 62) + caption(["ONE IN A PUDDLE."], 531, 62)
    body += panel((40, 488, 920, 400), c) + caption(
        ["FORTY… SEVENTY… NINETY…"], 938, 510, anchor="end"
    )
    body += panel((40, 906, 920, 468), d)
    body += balloon(["NINETY-EIGHT.", "NINETY-NINE."], 760, 1020, (520, 1110), 27)
    body += balloon(["…AND?"], 800, 1200, (530, 1190), 30)
    return sheet(W, H, body)


def gate():
    a = sky(40, 40, 920, 640, NIGHT) + tone(40, 40, 920, 640, 0.10, True)
    a += pine(150, 600, 0.8, -3, True) + pine(890, 600, 0.85, 4, True)
    a += hill([(30, 600), (300, 560), (700, 560), (980, 600)], "#39452f", 700)
    a += "".join(dot(560, 480, r, fill=WARM, opacity=0.07) for r in (330, 260, 190))
    a += storehouse(560, 590, 0.86, door=0, glow=True, night=True) + lantern(
        400, 420, 0.5, glow=130
    )
    a += stones(540, 612, 5, -70, 16, 1.18)
    a += rain(40, 40, 920, 640, 110, 0.2, 31, MIST, 3, 50, 0.55)
    a += pon(
        190,
        668,
        0.62,
        look=(0.9, -0.4),
        eyes="wide",
        mouth="o",
        arms=("front", "front"),
        held=pile(0, -84, 8, 0.9, 5),
    )
    b = sky(40, 698, 440, 676, INDIGO_D) + box(150, 740, 350, 660, WARM, INK, 7)
    b += "".join(dot(330, 1080, r, fill=PAPER, opacity=0.16) for r in (250, 190))
    b += flat("M150 700H40V1390H150Z", "#7a3a26") + line(
        "M150 700V1390M110 700V1390M40 900H150M40 1180H150", 6
    )
    b += dot(128, 1060, 9, fill=STRAW)
    b += shiro(
        290,
        1376,
        1.06,
        arms=([(0, 0), (36, 24), (76, 20)], [(0, 0), (40, 20), (78, -14)]),
        eyes="open",
        mouth="o",
        look=(-0.3, 0.2),
    ) + lantern(430, 1198, 0.6, glow=0)
    c = sky(498, 698, 462, 676, WARM) + tone(498, 698, 462, 676, 0.08)
    c += shelf(800, 740, 200, 4, 150, 3) + planks(470, 1296, 500, 90)
    c += oval(644, 1352, 120, 18, INDIGO_L, "none", 0)
    c += pon(
        644,
        1352,
        0.86,
        eyes="worry",
        mouth="sad",
        look=(0.8, -0.2),
        arms=("front", "front"),
        sweat=True,
        held=pile(0, -84, 9, 0.95, 5),
    )
    c += shiro(864, 1350, 0.88, arms=("give", "down"), eyes="happy", mouth="grin", look=(-0.6, 0))
    body = panel((40, 40, 920, 640), a) + sound("コンコン", 640, 130, 58, -3, PAPER, INK)
    body += panel((40, 698, 440, 676), b) + panel((498, 698, 462, 676), c)
    body += balloon(["SORRY. THEY ARE A", "LITTLE… LOOSE."], 712, 790, (640, 1000), 22)
    body += balloon(["~どうぞ。", "COME IN."], 842, 944, (866, 1046), 24)
    return sheet(W, H, body)


# ---- chapter 2: The White Walls --------------------------------------------------------------------


def walls_title():
    b = '<rect x="-9" y="-9" width="1018" height="1432" fill="url(#waves)"/>'
    b += box(70, 70, 860, 1274, PAPER, INK, 7) + box(88, 88, 824, 1238, "none", VERM, 4)
    round_ = egg(500, 560, 350, 350)
    inside = sky(140, 200, 720, 730, WARM) + tone(140, 200, 720, 730, 0.07)
    inside += shelf(150, 240, 250, 5, 140, 4) + shelf(600, 240, 250, 5, 140, 9)
    inside += shiro(
        432, 1010, 1.72, eyes="happy", mouth="smile", arms=("front", [(0, 0), (56, 16), (106, -40)])
    )
    inside += lantern(714, 668, 0.92, glow=0)
    b += clip(round_, inside) + line(round_, 22) + line(round_, 12, VERM)
    b += dot(210, 250, 64, fill=VERM) + letters("2", 210, 280, 60, PAPER, weight=0.2)
    b += letters("THE WHITE WALLS", 500, 1100, 62, INK, weight=0.19)
    b += type_("白い壁", 500, 1206, 68, VERM, SERIF)
    b += line("M240 1250h190M570 1250h190", 4) + leaf(500, 1256, 0.62, 12, 8, 4)
    return sheet(W, H, b)


def drying():
    a = sky(40, 40, 920, 640, "#e9c98a") + tone(40, 40, 920, 640, 0.06)
    a += shelf(60, 110, 250, 4, 130, 5) + shelf(690, 110, 250, 4, 130, 6) + planks(40, 596, 920, 90)
    a += line("M40 150Q500 260 960 130", 6) + line("M40 300Q420 380 960 270", 6)
    for i, x in enumerate(range(110, 940, 104)):
        t = x / 1000
        y1 = 150 + (1 - (2 * t - 1) ** 2) * 60
        a += leaf(x, y1 + 44, 0.98, (-5, 4, -2, 6)[i % 4], 6, i) + box(
            x - 6, y1 - 8, 12, 24, STRAW, INK, 3
        )
    for i, x in enumerate((380, 486, 592)):
        a += leaf(x, 384 + (0, 6, -2)[i], 0.98, (4, -5, 3)[i], -6, i + 20) + box(
            x - 6, 330 + (0, 4, -4)[i], 12, 24, STRAW, INK, 3
        )
    a += lantern(500, 40, 0.62, glow=0)
    a += shiro(250, 664, 0.98, arms=("down", "up"), look=(0.5, -0.6), eyes="happy", mouth="smile")
    a += pon(750, 664, 0.98, hat=False, arms=("up", "front"), look=(-0.5, -0.8), mouth="smile")
    a += g(
        path(
            "M-96 -20C-100 -84 -50 -112 0 -112C50 -112 100 -84 96 -20C70 -60 -70 -60 -96 -20Z",
            PAPER,
            INK,
            5,
        )
        + line("M-70 -64q10 10 8 22M70 -64q-10 10 -8 22", 4),
        "translate(750 428)",
    )
    b = sky(40, 698, 451, 676, MOSS_L) + tone(40, 698, 451, 676, 0.09)
    b += pile(158, 1206, 15, 1.15, 8)
    b += shiro(
        336,
        1330,
        1.25,
        hidden=True,
        eyes="down",
        mouth="o",
        look=(-0.7, 0.6),
        arms=([(0, 0), (46, 16), (92, -62)], "down"),
    )
    b += box(20, 1210, 500, 190, "#8a6344", INK, 6) + line("M40 1240H491M40 1300H491", 4, "#6a4a35")
    c = (
        sky(509, 698, 451, 676, VERM)
        + f'<g opacity=".35">{rays(735, 1050, 260, 700, 40, 3, VERM_D)}</g>'
    )
    c += g(
        box(-120, -170, 240, 340, PAPER, INK, 7, 4)
        + box(-120, -170, 64, 340, INDIGO, INK, 6, 4)
        + box(-28, -130, 110, 150, CREAM, INK, 5)
        + type_("蔵", 27, -22, 96, INK, SERIF)
        + "".join(line(f"M-120 {v}H-62", 6, CREAM) for v in (-120, -50, 20, 90))
        + line("M-62 -170V90", 6, CREAM),
        "translate(740 1040) rotate(-6)",
    )
    c += line("M690 1140C600 1250 640 1330 760 1300S900 1260 880 1200", 6, CREAM)
    c += g(path("M-6 0L0 -150L6 0Q0 14 -6 0Z", MIST, INK, 4.5), "translate(876 1214) rotate(24)")
    c += limb([(980, 1330), (950, 1230), (920, 1140)], 64, PAPER, 6) + line(
        "M896 1122l10 26M926 1112l2 28", 5
    )
    body = (
        panel((40, 40, 920, 640), a)
        + panel((40, 698, 451, 676), b)
        + panel((509, 698, 451, 676), c)
    )
    body += (
        caption(["FIRST, DRY."], 62, 62)
        + caption(["THEN, COUNT."], 62, 720)
        + caption(["THEN, SEW."], 531, 720)
    )
    body += balloon(["…NINETY-NINE."], 250, 832, (306, 918), 24)
    return sheet(W, H, body)


def shelving():
    a = sky(40, 40, 560, 860, "#e9c98a") + shelf(60, 70, 520, 5, 160, 12, (1, 0.62))
    a += planks(40, 868, 560, 60)
    a += line("M250 890L330 100M400 890L440 100", 20) + line(
        "M250 890L330 100M400 890L440 100", 11, STRAW
    )
    for i in range(7):
        y = 830 - i * 108
        k = (890 - y) / 790
        a += line(f"M{250 + 80 * k:.0f} {y}H{400 + 40 * k:.0f}", 18) + line(
            f"M{250 + 80 * k:.0f} {y}H{400 + 40 * k:.0f}", 9, STRAW
        )
    a += shiro(330, 700, 0.98, arms=("down", "up"), look=(0.7, -0.8), eyes="open")
    a += book(486, 410, 0.92, 8, VERM)
    a += pon(
        510, 898, 0.62, hat=False, look=(-0.6, -1), eyes="open", mouth="grin", arms=("up", "down")
    )
    b = sky(618, 40, 342, 421, MOSS_L) + tone(618, 40, 342, 421, 0.08)
    b += g(shiro_head("happy", "smile", (0, 0)), "translate(789 350) scale(1.22)")
    c = sky(618, 479, 342, 421, "#6a4a35") + tone(618, 479, 342, 421, 0.2)
    c += shelf(590, 520, 400, 2, 190, 22, (0, 0.52))
    c += type_("?", 814, 664, 84, CREAM, SANS)
    d = sky(40, 918, 920, 456, INDIGO_D) + tone(40, 918, 920, 456, 0.10, True)
    d += dot(330, 1400, 300, 110, WARM, 0.35)
    d += pon(
        330,
        1392,
        1.06,
        hat=False,
        eyes="worry",
        mouth="sad",
        arms=("front", "front"),
        tilt=-4,
        look=(0.2, 0.8),
    )
    d += shiro(
        650,
        1392,
        1.06,
        arms=([(0, 0), (66, 0), (150, -10)], "down"),
        eyes="worry",
        mouth="flat",
        look=(-0.7, 0),
    )
    body = (
        panel((40, 40, 560, 860), a)
        + panel((618, 40, 342, 421), b)
        + panel((618, 479, 342, 421), c)
    )
    body += caption(["ONE PAGE,", "ONE PLACE."], 62, 806)
    body += balloon(["NINETY-NINE.", "ALMOST!"], 784, 126, (790, 232), 23)
    body += caption(["PAGE ONE HUNDRED?"], 634, 832, 19)
    body += panel((40, 918, 920, 456), d)
    body += balloon(["I LOST ONE."], 196, 984, (262, 1076), 25)
    body += balloon(["PAGES FIND THEIR", "WAY HOME."], 766, 984, (752, 1090), 23)
    return sheet(W, H, body)


def visitor():
    a = (
        sky(40, 40, 451, 400, "#7a3a26")
        + line("M265 40V440", 7)
        + line("M40 130H491M40 350H491", 6)
    )
    a += (
        flat("M40 40H491V440H40Z", INK, 0.1)
        + oval(232, 250, 20, 20, STRAW, INK, 5)
        + oval(298, 250, 20, 20, STRAW, INK, 5)
    )
    b = sky(509, 40, 451, 400, WARM) + rays(730, 420, 240, 560, 40, 8, STRAW_D)
    b += pon(630, 470, 0.95, hat=False, eyes="wide", mouth="o", look=(-0.9, 0)) + shiro(
        846, 470, 0.95, eyes="open", mouth="flat", look=(-0.9, 0)
    )
    c = sky(40, 458, 920, 520, NIGHT) + tone(40, 458, 920, 520, 0.10, True)
    c += rain(40, 458, 920, 520, 90, 0.2, 14, MIST, 3, 50, 0.6)
    c += (
        flat("M40 458H230V990H40Z", PAPER)
        + flat("M180 458H230V990H180Z", MIST)
        + line("M230 458V990M180 458V990", 6)
    )
    c += (
        flat("M770 458H970V990H770Z", PAPER)
        + flat("M770 458H820V990H770Z", MIST)
        + line("M770 458V990M820 458V990", 6)
    )
    c += box(20, 930, 960, 70, "#8d8f8c", INK, 6) + dot(500, 950, 230, 16, WARM, 0.6)
    c += frog(
        500, 950, 1.35, arms=("down", [(0, 0), (40, -40), (34, -150)]), mouth="open", look=(0, -0.3)
    )
    c += g(leaf(0, 0, 3.0, 90, 9, 8, 2.4), "translate(520 588) rotate(-5)")
    c += line("M392 704q-4 10 0 16M652 690q4 10 0 16", 5, MIST)
    d = (
        sky(40, 996, 920, 378, "#e9c98a")
        + tone(40, 996, 920, 378, 0.07)
        + shelf(650, 1010, 300, 3, 120, 15)
    )
    d += shelf(50, 1010, 200, 3, 120, 16) + planks(40, 1330, 920, 60)
    d += pon(360, 1372, 0.92, hat=False, eyes="happy", mouth="grin", arms=("up", "out"), lean=-4)
    d += frog(530, 1368, 0.82, eyes="happy", mouth="open", arms=("out", "up")) + leaf(
        214, 1112, 1.15, -12, 6, 8
    )
    d += shiro(850, 1374, 0.86, eyes="happy", mouth="smile", arms=("front", "down"), look=(-0.5, 0))
    body = panel((40, 40, 451, 400), a) + sound("トントン", 110, 222, 92, -8, PAPER, INK)
    body += panel((509, 40, 451, 400), b) + panel((40, 458, 920, 520), c)
    body += balloon(["IS THIS YOURS?"], 206, 566, (402, 800), 25) + balloon(
        ["IT KEPT", "ME DRY."], 846, 830, (606, 842), 25
    )
    body += panel((40, 996, 920, 378), d) + balloon(
        ["ONE", "HUNDRED!"], 612, 1076, (462, 1150), 26, shout=True
    )
    return sheet(W, H, body)


def storm_outside():
    a = sky(30, 30, 940, 900, NIGHT) + tone(30, 30, 940, 900, 0.10, True)
    a += (
        cloud(170, 140, 1.4, INDIGO_D, INK, 6)
        + cloud(830, 170, 1.5, INDIGO_D, INK, 6)
        + cloud(520, 90, 1.2, INDIGO_D, INK, 6)
    )
    a += path("M850 236L800 360H846L800 486L920 330H868L912 236Z", WARM, INK, 5)
    a += gust(220, 420, 1.1, INDIGO_L, 7) + gust(850, 620, 0.9, INDIGO_L, 7, True)
    a += "".join(dot(500, 700, r, fill=WARM, opacity=0.07) for r in (420, 330, 250))
    a += pine(120, 860, 1.05, -12, True) + pine(910, 860, 0.9, -10, True)
    a += hill([(30, 850), (300, 824), (700, 824), (980, 850)], "#39452f", 960)
    a += storehouse(500, 850, 1.12, door=0, glow=True, night=True)
    a += rain(30, 30, 940, 900, 150, 0.6, 44, MIST, 3.2, 62, 0.6)
    b = sky(40, 938, 920, 436, "#e9c98a") + tone(40, 938, 920, 436, 0.06)
    b += "".join(dot(500, 1120, r, fill=PAPER, opacity=0.16) for r in (260, 190, 120)) + lantern(
        500, 938, 0.62, glow=0
    )
    b += shelf(60, 950, 270, 3, 124, 31) + shelf(670, 950, 270, 3, 124, 32)
    b += planks(40, 1322, 920, 60)
    b += pon(
        270,
        1388,
        0.9,
        hat=False,
        eyes="shut",
        mouth="smile",
        tilt=6,
        arms=("front", "front"),
        held="",
    )
    b += frog(500, 1366, 0.82, eyes="happy", arms=("front", "front"))
    b += shiro(730, 1388, 0.9, eyes="happy", mouth="smile", arms=("front", "front"))
    for x, y in ((270, 1292), (500, 1310), (730, 1288)):
        b += path(
            f"M{x - 24} {y - 18}H{x + 24}L{x + 18} {y + 18}H{x - 18}Z",
            VERM if x == 500 else INDIGO,
            INK,
            4.5,
        )
        b += line(f"M{x - 8} {y - 32}q-8 -12 0 -22M{x + 8} {y - 32}q-8 -12 0 -22", 3.5, PAPER)
    body = panel((40, 40, 920, 880), a) + panel((40, 938, 920, 436), b)
    body += caption(["OUTSIDE: WIND, RAIN AND", "EVERYTHING THAT LOSES PAGES."], 62, 62)
    body += caption(["INSIDE: EVERY PAGE IN ITS PLACE."], 938, 848, 24, CREAM, "end")
    return sheet(W, H, body)


# ---- chapter 3: Here You Are, one tall strip ---------------------------------------------------------

SW, SH = 800, 5200


def strip():
    b = sky(-9, -9, 818, 1700, "#f3dfc4") + dot(400, 760, 240, fill=VERM)
    b += (
        tone(0, 0, 800, 1700, 0.05)
        + cloud(160, 700, 1.15, PAPER)
        + cloud(680, 860, 1.2, PAPER)
        + cloud(600, 480, 0.8, PAPER)
    )
    b += dot(400, 140, 60, fill=VERM) + letters("3", 400, 168, 56, PAPER, weight=0.2)
    b += letters("HERE YOU ARE", 400, 296, 56, INK, weight=0.19) + type_(
        "どうぞ", 400, 400, 66, VERM, SERIF
    )
    b += line("M120 500q18 -20 34 0q18 -20 34 0M230 452q14 -16 28 0q14 -16 28 0", 5)
    b += caption(["THE NEXT MORNING."], 232, 1086)
    # the storehouse and the queue
    b += hill([(-20, 1640), (200, 1560), (400, 1590), (620, 1550), (820, 1620)], MOSS_L, 2600)
    b += hill([(-20, 2020), (300, 1990), (820, 2010)], MOSS, 2760, 5, MOSS_D)
    b += pine(70, 2020, 0.95, -4) + pine(740, 2020, 0.95, 5)
    b += flat("M320 2010L140 2760H700L480 2010Z", STRAW) + line(
        "M320 2010L140 2760M480 2010L700 2760", 5
    )
    b += (
        storehouse(400, 2020, 1.32, door=1, glow=True)
        + lantern(214, 1690, 0.66, glow=0)
        + lantern(586, 1690, 0.66, glow=0)
    )
    b += (
        grass(60, 2120, 6, 1.1, MOSS_D)
        + grass(640, 2200, 6, 1.1, MOSS_D)
        + grass(70, 2420, 5, 1.2, MOSS_D)
    )
    b += fox(330, 2260, 0.8, look=(0.2, -0.6)) + rabbit(
        500, 2400, 0.95, look=(-0.2, -0.6), coat=VERM, eyes="happy"
    )
    b += frog(300, 2560, 1.1, look=(0.2, -0.6), mouth="open") + rabbit(
        550, 2660, 0.66, coat=MOSS, look=(-0.2, -0.8)
    )
    b += balloon(["IS IT OPEN?"], 146, 2090, (262, 2136), 25) + balloon(
        ["IT SMELLS", "OF STORIES."], 136, 2330, (214, 2440), 23
    )
    # the counter
    b += (
        sky(-9, 2740, 818, 1060, "#e9c98a")
        + line("M-9 2740H820", 7)
        + tone(0, 2740, 800, 1060, 0.06)
    )
    b += (
        shelf(20, 2800, 240, 4, 150, 51)
        + shelf(540, 2800, 240, 4, 150, 52)
        + lantern(400, 2744, 0.82, glow=0)
    )
    b += shiro(
        400,
        3470,
        1.55,
        eyes="happy",
        mouth="grin",
        arms=([(0, 0), (34, 50), (0, 92)], [(0, 0), (34, 50), (0, 92)]),
    )
    b += box(-20, 3400, 840, 240, "#8a6344", INK, 7) + box(-20, 3388, 840, 40, "#a67c56", INK, 6)
    b += line("M0 3480H800M0 3560H800", 4, "#6a4a35") + g(
        type_("どうぞ", 0, 0, 60, CREAM, SERIF), "translate(400 3540)"
    )
    b += (
        pile(110, 3386, 10, 1.2, 12)
        + book(660, 3330, 0.9, 90, INDIGO)
        + book(664, 3292, 0.9, 90, MOSS)
    )
    b += book(400, 3346, 1.15, -4, VERM)
    b += limb([(330, 3320), (338, 3356), (352, 3372)], 34, PAPER, 6) + limb(
        [(470, 3320), (462, 3356), (448, 3372)], 34, PAPER, 6
    )
    b += rabbit(
        150, 3776, 1.12, coat=VERM, eyes="open", mouth="open", look=(0.6, -0.8), arms=("down", "up")
    )
    b += fox(640, 3776, 1.12, eyes="happy", look=(-0.4, -0.6), arms=("up", "down"))
    b += balloon(["~どうぞ。", "HERE YOU ARE."], 606, 2872, (556, 3024), 23)
    # readers under the pine
    b += (
        sky(-9, 3790, 818, 800, DAY)
        + line("M-9 3790H820", 7)
        + cloud(640, 3930, 0.9, PAPER)
        + cloud(130, 3990, 0.8, PAPER)
    )
    b += hill([(-20, 4330), (260, 4280), (540, 4320), (820, 4260)], MOSS_L, 4700)
    b += hill([(-20, 4480), (400, 4420), (820, 4480)], MOSS, 5220, 5, MOSS_D) + pine(
        400, 4480, 1.35, 2
    )
    b += rabbit(200, 4590, 0.95, coat=VERM, eyes="shut", arms=("front", "front")) + open_book(
        200, 4532, 0.95, VERM
    )
    b += fox(600, 4600, 0.95, eyes="down", look=(0, 0.6), arms=("front", "front")) + open_book(
        600, 4542, 0.95, INDIGO
    )
    b += frog(400, 4680, 1.0, eyes="happy", arms=("front", "front")) + open_book(
        400, 4644, 0.9, STRAW
    )
    # and off again
    b += flat("M-20 5000Q300 4900 500 4980T820 4880V5220H-20Z", STRAW) + line(
        "M-20 5000Q300 4900 500 4980T820 4880", 5
    )
    b += pon(
        540, 5060, 0.92, legs="walk", bundle=True, eyes="happy", mouth="grin", arms=("wave", "down")
    )
    b += grass(70, 4720, 6, 1.2, MOSS_D) + grass(740, 4690, 6, 1.2, MOSS_D)
    b += balloon(["SAME TIME", "TOMORROW!"], 230, 4850, (410, 4880), 28)
    b += flock([(716, 4790, 0.6), (756, 4860, 0.5)], 8)
    b += letters("THE END", 200, 5120, 40, INK, weight=0.19) + type_(
        "おわり", 200, 5168, 34, VERM_D, SERIF
    )
    return sheet(SW, SH, b)


CHAPTERS = (
    (cover, windy, knot, scatter, gather, gate),
    (walls_title, drying, shelving, visitor, storm_outside),
    (strip,),
)
