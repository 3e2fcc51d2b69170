/*
 * hostile: documents that are made to cost much, of which none may be run.
 *
 * Each is a head, a part again and again, and a tail; in them ~ is the number of the part, ^ the
 * next one's and # how many there are. test_validate.c proves that the default limits or the rules
 * refuse them over the schema of world.h; bench/graphql_refuse.c says what that costs.
 */
#pragma once

#include "base/base.h"

#define HOSTILE_BYTES (128u * 1024u) /* the longest text by default */
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

#define TICKS10 "tick tick tick tick tick tick tick tick tick tick "
#define TICKS100 TICKS10 TICKS10 TICKS10 TICKS10 TICKS10 TICKS10 TICKS10 TICKS10 TICKS10 TICKS10
#define TICKS1000                                                                                  \
    TICKS100 TICKS100 TICKS100 TICKS100 TICKS100 TICKS100 TICKS100 TICKS100 TICKS100 TICKS100

struct hostile {
    const char *name, *head, *each, *tail;
    unsigned n; /* parts; 0: until the text is as long as one may be */
};

static const struct hostile hostile[] = {
    {"braces", "", "{", "", 0},
    {"closing braces", "", "}", "", 0},
    {"brackets", "", "[", "", 0},
    {"parentheses", "", "(", "", 0},
    {"colons", "", ":", "", 0},
    {"at signs", "", "@", "", 0},
    {"dollars", "", "$", "", 0},
    {"bangs", "", "!", "", 0},
    {"pipes", "", "|", "", 0},
    {"ampersands", "", "&", "", 0},
    {"equals", "", "=", "", 0},
    {"spreads", "", "...", "", 0},
    {"names of one letter", "", "a ", "", 0},
    {"numbers", "", "1 ", "", 0},
    {"minus signs", "", "-", "", 0},
    {"zeros", "", "0", "", 0},
    {"digits", "", "7", "", 0},
    {"empty strings", "", "\"\" ", "", 0},
    {"empty block strings", "", "\"\"\"\"\"\" ", "", 0},
    {"question marks", "", "?", "", 0},
    {"bytes that are no UTF-8", "", "\xff", "", 0},
    {"surrogates in UTF-8", "", "\xed\xa0\x80", "", 0},
    {"commas", "", ",", "", 0},
    {"blanks", "", " ", "", 0},
    {"tabs", "", "\t", "", 0},
    {"line breaks", "", "\n", "", 0},
    {"returns", "", "\r\n", "", 0},
    {"byte order marks", "", "\xef\xbb\xbf", "", 0},
    {"comments", "", "#x\n", "", 0},
    {"a comment without an end", "{version #", "x", "", 0},
    {"a long name", "{", "a", "}", 0},
    {"long names", "{", X50 X50 X50 X50 X50, "}", 0},
    {"a string without an end", "{echo(string: \"", "x", "", 0},
    {"a string of escapes", "{echo(string: \"", "\\n", "\") nothing}", 0},
    {"a string of \\u", "{echo(string: \"", "\\u00e9", "\") nothing}", 0},
    {"a string of \\u{}", "{echo(string: \"", "\\u{1F600}", "\") nothing}", 0},
    {"a string of half surrogates", "{echo(string: \"", "\\ud83d", "\")}", 0},
    {"a string of bad escapes", "{echo(string: \"", "\\q", "\")}", 0},
    {"a string of Chinese", "{echo(string: \"", "\xe5\x89\xa7", "\") nothing}", 0},
    {"a block string of line breaks", "{echo(string: \"\"\"", "\n", "\"\"\") nothing}", 0},
    {"a block string of indented lines", "{echo(string: \"\"\"", "\n  x", "\"\"\") nothing}", 0},
    {"a block string of blanks", "{echo(string: \"\"\"", " ", "\"\"\") nothing}", 0},
    {"a block string of quotes", "{echo(string: \"\"\"", "\\\"\"\"", "\"\"\") nothing}", 0},
    {"a block string without an end", "{echo(string: \"\"\"", "x\n", "", 0},
    {"an Int of digits", "{echo(int: 1", "7", ")}", 0},
    {"a Float of digits", "{echo(float: 1.", "7", "e999)}", 0},
    {"an exponent of digits", "{echo(float: 1e", "9", ")}", 0},
    {"selections in selections", "", "{self", "", 0},
    {"lists in lists", "{echo(any: ", "[", "", 0},
    {"objects in objects", "{echo(any: ", "{a:", "", 0},
    {"types in types", "query ($a: ", "[", "", 0},
    {"inline fragments in each other", "{", "...{", "", 0},
    {"aliases", "{", "a~: version ", "}", 0},
    {"one alias of many fields", "{", "a: version a: big ", "}", 249},
    {"fields that do not exist", "{", "x~ ", "}", 7900},
    {"fields almost of a name", "{", "versio ", "}", 4999},
    {"long fields that do not exist", "{", X50 X50 X50 X50 "~ ", "}", 600},
    {"arguments that do not exist", "{echo(", "a~: 1 ", ")}", 2640},
    {"the same argument", "{echo(", "int: 1 ", ")}", 2640},
    {"arguments on many fields", "{", "echo(x: 1) ", "}", 1320},
    {"members that do not exist", "{echo(filter: {", "a~: 1 ", "})}", 2640},
    {"the same member", "{echo(filter: {", "name: 1 ", "})}", 2640},
    {"items of a wrong type", "{echo(ints: [", "a ", "])}", 7900},
    {"long items of a wrong type", "{echo(ints: [", "\"" X50 "\" ", "])}", 0},
    {"variables that are not used", "query (", "$a~: Int ", ") {version}", 1987},
    {"variables of no type", "query (", "$a~: X~ ", ") {version}", 1987},
    {"the same variable", "query (", "$a: Int ", ") {version}", 1987},
    {"variables that are not defined", "{echo(ints: [", "$a~ ", "])}", 3900},
    {"variables of a wrong default", "query (", "$a~: Int = x ", ") {version}", 1325},
    {"directives that do not exist", "{version ", "@a~ ", "}", 3900},
    {"the same directive", "{version ", "@skip(if: true) ", "}", 1320},
    {"directives in wrong places", "query ", "@skip(if: true) ", "{version}", 1135},
    {"anonymous operations", "", "{version} ", "", 2650},
    {"operations of one name", "", "query a {version} ", "", 1590},
    {"operations of no field", "", "query a~ {x} ", "", 1590},
    {"fragments that are not used", "{version} ", "fragment F~ on Query {version} ", "", 1135},
    {"fragments of one name", "{...F} ", "fragment F on Query {version} ", "", 1135},
    {"fragments on no type", "{version} ", "fragment F~ on X~ {a} ", "", 1135},
    {"spreads of no fragment", "{", "...F~ ", "}", 3900},
    {"spreads that cannot be", "{person(id: 1) {", "...D ", "}} fragment D on Dog {barks}", 3900},
    {"fragments in a ring", "{...F0} ", "fragment F~ on Query {...F^} ",
     "fragment F# on Query {...F0}", 880},
    {"fragments in a chain", "{...F0} ", "fragment F~ on Query {...F^} ",
     "fragment F# on Query {version}", 880},
    {"fragments that spread themselves", "{...F0} ", "fragment F~ on Query {...F~} ", "", 880},
    {"fragments that double", "{...F0} ", "fragment F~ on Query {a: self {...F^} b: self {...F^}} ",
     "fragment F# on Query {version}", 28},
    {"fragments that triple without depth", "{...F0} ", "fragment F~ on Query {...F^ ...F^ ...F^} ",
     "fragment F# on Query {version nothing}", 30},
    {"operations over one fragment",
     "fragment F on Query {echo(int: $x) echo(int: $x) echo(int: $x) echo(int: $x) echo(int: $x) "
     "echo(int: $x) echo(int: $x) nothing} ",
     "query q~($x: Int) {...F} ", "", 500},
    {"subscriptions over one fragment",
     "fragment F on Subscription {" TICKS1000 TICKS1000 TICKS1000 TICKS1000 "} ",
     "subscription s~ {...F} ", "", 640},
    {"fields that cannot be merged", "{", "a: echo(int: ~) ", "}", 499},
    {"types that cannot be merged", "{things {", "... on Dog {x: barks} ... on Cat {x: meows} ",
     "}}", 249},
    {"subfields that cannot be merged", "{", "self {self {x: version}} self {self {x: big}} ", "}",
     249},
    {"introspection in depth", "{__schema {types {", "fields {type {", "", 14},
    {"introspection in width", "{",
     "a~: __schema {types {fields {type {fields {type {fields {type {fields {name}}}}}}}}} ", "}",
     250},
};

static inline void hostile_put_part(struct dz_buf *out, const char *part, unsigned at, unsigned n)
{
    for (const char *p = part; *p; p++) {
        if (*p == '~' || *p == '^')
            dz_buf_put_u64(out, at + (*p == '^'));
        else if (*p == '#' && n > 0)
            dz_buf_put_u64(out, n);
        else
            dz_buf_putc(out, *p);
    }
}

static inline void hostile_put(const struct hostile *h, struct dz_buf *out)
{
    dz_buf_clear(out);
    hostile_put_part(out, h->head, 0, h->n);
    size_t before = out->n, part_max = strlen(h->each) + 20;
    for (unsigned i = 0; h->n > 0 ? i < h->n : out->n + part_max + strlen(h->tail) < HOSTILE_BYTES;
         i++)
        hostile_put_part(out, h->each, i, h->n);
    dz_assert(out->n > before);
    hostile_put_part(out, h->tail, 0, h->n);
}
