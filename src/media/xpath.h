/*
 * xpath: XPath 1.0 over libxml2's trees, for this room only.
 *
 * The library's own evaluator joins sets and compares them in quadratic time that it does not
 * count, so that a short expression holds a thread for minutes. Here each node that is looked at,
 * each byte of text and each comparison is paid for, and memory has a limit as well: whatever an
 * expression and a page are, it ends soon. xpath_parse.c makes the tree of an expression,
 * xpath_eval.c walks it, xpath_set.c has the sets and the account, xpath_text.c the functions.
 */
#pragma once

#include "media/media_int.h"

#include <libxml/tree.h>

#define XPATH_OPERATIONS_MAX 10000000u /* some tenths of a second */
#define XPATH_OPERATION_BYTES 8        /* of text, for one operation */
#define XPATH_MEMORY_MAX ((size_t)64 * 1024 * 1024)
#define XPATH_DEPTH_MAX 1000u /* of an expression; each level is some hundred bytes of stack */

enum xpath_type { XPATH_SET, XPATH_BOOL, XPATH_REAL, XPATH_TEXT };

enum xpath_kind {
    XPATH_IS_NUMBER,
    XPATH_IS_TEXT,
    XPATH_IS_SCOPE, /* $scope: what :scope means */
    XPATH_IS_CALL,
    XPATH_IS_PATH,
    XPATH_OR, /* this, AND and UNION have any number of operands */
    XPATH_AND,
    XPATH_UNION,
    XPATH_EQ,
    XPATH_NE,
    XPATH_LT,
    XPATH_LE,
    XPATH_GT,
    XPATH_GE,
    XPATH_ADD,
    XPATH_SUB,
    XPATH_MUL,
    XPATH_DIV,
    XPATH_MOD,
    XPATH_NEGATE,
};

enum xpath_axis {
    XPATH_ANCESTOR,
    XPATH_ANCESTOR_OR_SELF,
    XPATH_ATTRIBUTE,
    XPATH_CHILD,
    XPATH_DESCENDANT,
    XPATH_DESCENDANT_OR_SELF,
    XPATH_FOLLOWING,
    XPATH_FOLLOWING_SIBLING,
    XPATH_PARENT,
    XPATH_PRECEDING,
    XPATH_PRECEDING_SIBLING,
    XPATH_SELF,
};

enum xpath_test {
    XPATH_TEST_NODE,
    XPATH_TEST_TEXT,
    XPATH_TEST_COMMENT,
    XPATH_TEST_INSTRUCTION,
    XPATH_TEST_NAME,
};

enum xpath_function {
    XPATH_FN_BOOLEAN,
    XPATH_FN_CEILING,
    XPATH_FN_CONCAT,
    XPATH_FN_CONTAINS,
    XPATH_FN_COUNT,
    XPATH_FN_FALSE,
    XPATH_FN_FLOOR,
    XPATH_FN_ID,
    XPATH_FN_LANG,
    XPATH_FN_LAST,
    XPATH_FN_LOCAL_NAME,
    XPATH_FN_NAME,
    XPATH_FN_NAMESPACE_URI,
    XPATH_FN_NORMALIZE_SPACE,
    XPATH_FN_NOT,
    XPATH_FN_NUMBER,
    XPATH_FN_POSITION,
    XPATH_FN_ROUND,
    XPATH_FN_STARTS_WITH,
    XPATH_FN_STRING,
    XPATH_FN_STRING_LENGTH,
    XPATH_FN_SUBSTRING,
    XPATH_FN_SUBSTRING_AFTER,
    XPATH_FN_SUBSTRING_BEFORE,
    XPATH_FN_SUM,
    XPATH_FN_TRANSLATE,
    XPATH_FN_TRUE,
};

/* [e]: a number is a place, anything else a truth. */
struct xpath_predicate {
    struct xpath_predicate *next;
    struct xpath_expr *e;
    bool says_place; /* it asks position() or is a place itself */
    bool says_last;  /* it asks last(): all must be known before one is judged */
};

struct xpath_step {
    struct xpath_step *next;
    enum xpath_axis axis;
    enum xpath_test test;
    const char *name;  /* NULL: any; of XPATH_TEST_NAME and XPATH_TEST_INSTRUCTION */
    const char *space; /* address of the namespace; NULL: none, or any when the name is any */
    struct xpath_predicate *predicates;
};

struct xpath_expr {
    enum xpath_kind kind;
    enum xpath_type type; /* of its value: known without running it */
    unsigned depth;
    struct xpath_expr *next;     /* beside it among operands or arguments */
    struct xpath_expr *operands; /* also arguments */
    double number;
    dz_str text;
    enum xpath_function function;
    /* A path: from the node at hand, the root, or what an expression gives. */
    bool absolute;
    struct xpath_expr *from;
    struct xpath_predicate *predicates; /* of `from` */
    struct xpath_step *steps;
};

/* The document resolves prefixes; scoped: $scope is known. All of the tree is in the arena.
 * DZ_BAD_INPUT names the place. */
DZ_MUST enum dz_code xpath_parse(dz_str text, const xmlDoc *doc, bool scoped, struct dz_arena *a,
                                 struct xpath_expr **ret_e, struct dz_err *err);

/* ---- running --------------------------------------------------------------------------------- */

struct xpath_set {
    xmlNode **v; /* attributes too; in document order when `sorted`, and then each once */
    size_t n, room;
    bool sorted;
};

struct xpath_value {
    enum xpath_type type;
    bool truth;
    double number;
    dz_str text; /* in the tree, the expression or the run */
    struct xpath_set set;
};

struct xpath_at { /* where an expression is judged */
    xmlNode *node;
    size_t place, last; /* from 1 */
};

/* A stack of memory: what was taken since a mark is given back at once. */
struct xpath_piece;
struct xpath_mark {
    struct xpath_piece *piece;
    size_t used;
};

struct xpath_run {
    xmlDoc *doc;
    xmlNode *scope;
    uint64_t left; /* operations */
    size_t memory;
    struct xpath_piece *piece, *spare;
    const char *stopped; /* why; NULL: it goes on */
};

/* Each node gets its number in document order; once for a document, before any run. */
void xpath_number(xmlDoc *doc);
/* Values live until xpath_done. DZ_TOO_LARGE when it costs too much. */
DZ_MUST enum dz_code xpath_eval(struct xpath_run *r, const struct xpath_expr *e, xmlNode *node,
                                struct xpath_value *ret_v, struct dz_err *err);
void xpath_done(struct xpath_run *r);

/* Of the files among themselves. False: the run has stopped. */
bool xpath_charge(struct xpath_run *r, uint64_t operations);
bool xpath_alloc(struct xpath_run *r, size_t n, void **ret_p);
struct xpath_mark xpath_mark(const struct xpath_run *r);
void xpath_rewind(struct xpath_run *r, struct xpath_mark m);
bool xpath_has_children(const xmlNode *n);
bool xpath_counts(const xmlNode *n); /* below a node; a DTD and references to entities do not */
bool xpath_set_add(struct xpath_run *r, struct xpath_set *s, xmlNode *n);
bool xpath_set_sort(struct xpath_run *r, struct xpath_set *s);
xmlNode *xpath_walk(const xmlNode *top, xmlNode *at); /* the next one below; NULL: none */
bool xpath_node_text(struct xpath_run *r, const xmlNode *n, dz_str *ret);
bool xpath_to_text(struct xpath_run *r, const struct xpath_value *v, dz_str *ret);
bool xpath_to_number(struct xpath_run *r, const struct xpath_value *v, double *ret);
bool xpath_text_number(struct xpath_run *r, dz_str s, double *ret);
bool xpath_to_bool(const struct xpath_value *v);
/* args: n values, evaluated. */
bool xpath_call(struct xpath_run *r, enum xpath_function fn, const struct xpath_at *at,
                const struct xpath_value *args, size_t n, struct xpath_value *ret);
