# settings of imoog
import os
DATABASE_DRIVERS = {
    "driver": "imoog.database.postgres",
    "config": {"connection_uri": ("postgres://a" 'b'), "max_size": 20, "min_size": 0x2, "x": -1.5e+3,},
}
CACHE_DRIVERS: dict = {"driver": "imoog.cache.memorycache", "config": {}}
SECRET_KEY = r"a\key"
A = u"\x41\u00fc\U0001F600\101\
\n"
B = (1,)
C = f"x{1}"; D = [x for x in range(3)]
OPENGRAPH_BASE_HTML = """<html>
{opengraph}"""
E = int(os.environ["X"]) \
    + 1
F = None
if True:
    SECRET_KEY = "another"
def f():
    return '''G = 1'''
