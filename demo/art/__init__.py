"""The drawings of the comic "Kura": pen, scenery, cast and pages. Everything returns SVG text."""
