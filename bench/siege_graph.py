"""The siege's graph, as SVG, and the line through its samples."""
import os
import pathlib
import statistics

WIDE, HIGH, LEFT, TOP, GAP = 900, 200, 70, 30, 50


def theil_sen(rows, key):
    """Slope a second, height at 0 and median distance from the line: none of them cares for a few outliers."""
    step = max(1, len(rows) // 300)
    points = [(r["t"], r[key]) for r in rows[::step]]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1:]]
    if not slopes:
        return 0.0, float(points[0][1]) if points else 0.0, 0.0
    slope = statistics.median(slopes)
    rest = statistics.median(y - slope * x for x, y in points)
    return slope, rest, statistics.median(abs(y - slope * x - rest) for x, y in points)


def draw(rows, path):
    """Memory above with the line through its second half, connections and descriptors below, on one axis of time."""
    span = rows[-1]["t"] or 1
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE + LEFT + 110} {2 * HIGH + GAP + TOP + 50}" font-family="sans-serif" font-size="13">',
           '<rect width="100%" height="100%" fill="white"/>']

    def panel(y, title, lines, unit):
        most = max(max(r[key] * scale for r in rows) for key, scale, _, _ in lines) * 1.1 or 1
        out.append(f'<text x="{LEFT}" y="{y - 8}" font-weight="bold">{title}</text>')
        for i in range(5):
            at = y + HIGH - HIGH * i / 4
            out.append(f'<path d="M{LEFT} {at:.0f}h{WIDE}" stroke="#ddd"/>'
                       f'<text x="{LEFT - 6}" y="{at + 4:.0f}" text-anchor="end">{most * i / 4:.3g}{unit}</text>')
        for n, (key, scale, colour, name) in enumerate(lines):
            points = " ".join(f"{LEFT + WIDE * r['t'] / span:.1f},{y + HIGH - HIGH * r[key] * scale / most:.1f}" for r in rows)
            out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>'
                       f'<text x="{LEFT + WIDE + 8}" y="{y + 16 + 18 * n}" fill="{colour}">{name}</text>')
        return most

    half = rows[len(rows) // 2:]
    slope, rest, _ = theil_sen(half, "rss")
    most = panel(TOP, f"Memory of the front; second half of the run: {slope * 3600:+.0f} KiB an hour",
                 [("rss", 1 / 1024, "#0b62a4", "resident"), ("dirty", 1 / 1024, "#c0392b", "private dirty")], " MiB")
    ends = " ".join(f"{LEFT + WIDE * t / span:.1f},{TOP + HIGH - HIGH * (rest + slope * t) / 1024 / most:.1f}" for t in (half[0]["t"], half[-1]["t"]))
    out.append(f'<polyline fill="none" stroke="#222" stroke-dasharray="6 4" points="{ends}"/>')
    panel(TOP + HIGH + GAP, "Connections and descriptors", [("connections", 1, "#27ae60", "connections"), ("fds", 1, "#8e44ad", "descriptors")], "")
    for i in range(7):
        out.append(f'<text x="{LEFT + WIDE * i / 6:.0f}" y="{TOP + 2 * HIGH + GAP + 20}" text-anchor="middle">{span * i / 360:.1f} min</text>')
    whole = pathlib.Path(f"{path}.new")
    whole.write_text("\n".join([*out, "</svg>"]) + "\n")
    os.replace(whole, path)
