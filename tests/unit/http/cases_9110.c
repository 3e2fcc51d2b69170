/*
 * cases_9110: RFC 9110 and 9111 as an origin meets them: methods, expectations, negotiation, status
 * codes with the fields they must carry, what caches are told.
 */
#include "conform.h"

#define TEXT "GET /text HTTP/1.1\r\nHost: a\r\n"
#define HELLO "GET /hello HTTP/1.1\r\nHost: a\r\n"

/* clang-format off */
static const struct http_case methods[] = {
    CASE_B("9110 9.3.1", "GET", HELLO "\r\n", "200", "Content-Length: 11\nContent-Type: text/plain\nETag: \"h1\"\nAccept-Ranges: bytes\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nCache-Control: max-age=5", "hello world"),
    CASE_L("9110 9.3.2", "HEAD: the same fields, no content", "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n", "200h", "Content-Length: 11\nContent-Type: text/plain\nETag: \"h1\"\nAccept-Ranges: bytes\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nX-Entity: of the content"),
    CASE("9110 9.3.2", "HEAD of a file", "HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n", "200h"),
    CASE("9110 9.3.2", "HEAD of what is not there", "HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "404h"),
    CASE("9110 9.3.2", "HEAD where only POST is", "HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n", "405h"),
    CASE("9110 9.3.2", "HEAD that is refused has no content either", "HEAD /healthz HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "400h !"),
    CASE("9110 9.3.2", "HEAD without Host", "HEAD /healthz HTTP/1.1\r\n\r\n", "400h !"),
    CASE("9110 9.3.2", "HEAD with a wrong chunk", "HEAD /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "400h !"),
    CASE("9110 9.3.2", "HEAD with too much content", "HEAD /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n", "413h !"),
    CASE("9110 9.3.2", "HEAD with a wrong expectation", "HEAD /healthz HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", "417h !"),
    CASE("9110 9.3.2", "HEAD of another major version", "HEAD /healthz HTTP/2.0\r\nHost: a\r\n\r\n", "505h !"),
    CASE("9110 9.3.2", "HEAD of a handler that fails", "HEAD /never HTTP/1.1\r\nHost: a\r\n\r\n", "500h"),
    CASE("9110 9.3.2", "HEAD of a late answer", "HEAD /late/x HTTP/1.1\r\nHost: a\r\n\r\n" GET "\r\n", "200h 200"),
    CASE_L("9110 9.3.2", "HEAD of a packed text", "HEAD /text HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n", "200h", "Content-Encoding: gzip\nVary: Accept-Encoding"),
    CASE_L("9110 9.3.7", "OPTIONS says what a path can", "OPTIONS /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "200", "Allow: GET, HEAD, OPTIONS\nContent-Length: 0"),
    CASE_L("9110 9.3.7", "OPTIONS of a path with more", "OPTIONS /echo HTTP/1.1\r\nHost: a\r\n\r\n", "200", "Allow: OPTIONS, POST, PUT"),
    CASE("9110 9.3.7", "OPTIONS of what is not there", "OPTIONS /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
    CASE("9110 9.3.7", "OPTIONS * in HTTP/1.0", "OPTIONS * HTTP/1.0\r\n\r\n", "200 !"),
    CASE("9110 7.6.2", "Max-Forwards means nothing to an origin", "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", "200"),
    CASE_L("9110 15.5.6", "405 with Allow", "DELETE /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "405", "Allow: GET, HEAD, OPTIONS"),
    CASE_L("9110 15.5.6", "405 for POST", "POST /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "405", "Allow: GET, HEAD, OPTIONS"),
    CASE_L("9110 15.5.6", "405 for PUT", "PUT /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "405", "Allow: GET, HEAD, OPTIONS"),
    CASE_L("9110 15.5.6", "405 for PATCH", "PATCH /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "405", "Allow: GET, HEAD, OPTIONS"),
    CASE_L("9110 15.5.6", "405 for GET where only POST is", "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", "405", "Allow: OPTIONS, POST, PUT"),
    CASE("9110 9.3.4", "PUT with content", "PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" GET "\r\n", "200 200"),
    CASE("9110 9.2.2", "a safe method asked twice answers the same", HELLO "\r\n" HELLO "\r\n", "200 200"),
};

static const struct http_case expectations[] = {
    CASE("9110 10.1.1", "100 before the body is there", POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", "100 ~"),
    CASE("9110 10.1.1", "100 for chunks too", POST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", "100 ~"),
    CASE("9110 10.1.1", "its name knows no case", POST "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n", "100 ~"),
    CASE("9110 10.1.1", "no 100 when the body is here already", POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "404"),
    CASE("9110 10.1.1", "no 100 when some of the body is here", POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\na", "~"),
    CASE("9110 10.1.1", "no 100 when chunks are here", POST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "404"),
    CASE("9110 10.1.1", "no 100 without content", GET "Expect: 100-continue\r\n\r\n", "200"),
    CASE("9110 10.1.1", "no 100 for a length of 0", POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", "404"),
    CASE("9110 10.1.1", "MUST NOT send 100 to HTTP/1.0", "POST /nothing HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "~"),
    CASE("9110 10.1.1", "in HTTP/1.0 it is ignored", "POST /nothing HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "404 !"),
    CASE("9110 10.1.1", "another one in HTTP/1.0 too", "GET /healthz HTTP/1.0\r\nExpect: tea\r\n\r\n", "200 !"),
    CASE("9110 15.5.18", "another expectation: 417", GET "Expect: tea\r\n\r\n", "417 !"),
    CASE("9110 15.5.18", "417 before the body", POST "Expect: tea\r\nContent-Length: 42\r\n\r\n" SMUGGLED, "417 !"),
    CASE("9110 15.5.18", "two expectations: 417", GET "Expect: 100-continue\r\nExpect: tea\r\n\r\n", "417 !"),
    CASE("9110 15.5.18", "a list of two: 417", GET "Expect: 100-continue, tea\r\n\r\n", "417 !"),
    CASE("9110 15.5.18", "with a parameter: 417", GET "Expect: 100-continue;x\r\n\r\n", "417 !"),
    CASE("9110 10.1.1", "a final answer in place of 100: too large", POST "Expect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n", "413 !"),
    CASE("9110 10.1.1", "a final answer in place of 100: no such method here", "POST /healthz HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "405 !"),
    CASE("9110 10.1.1", "a final answer in place of 100: no such method at all", "FROB /healthz HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "501 !"),
    CASE("9110 10.1.1", "a final answer in place of 100: a chunk that is none", POST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "400 !"),
    CASE("9110 10.1.1", "behind other requests", GET "\r\n" POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", "200 100 ~"),
    CASE("9110 10.1.4", "TE: trailers", GET "TE: trailers\r\nConnection: TE\r\n\r\n", "200"),
    CASE("9110 10.1.4", "TE of anything", GET "TE: gzip;q=0.5, trailers, deflate\r\n\r\n", "200"),
    CASE("9110 10.1.2", "From, Referer, User-Agent are not judged", GET "From: x\r\nReferer: ://\r\nUser-Agent: ((\r\n\r\n", "200"),
};

static const struct http_case negotiation[] = {
    CASE_L("9110 12.5.3", "nothing said: identity", TEXT "\r\n", "200", "-Content-Encoding\nVary: Accept-Encoding\nETag: \"t1\"\nContent-Length: 4200"),
    CASE_L("9110 12.5.3", "an empty field: identity", TEXT "Accept-Encoding:\r\n\r\n", "200", "-Content-Encoding\nVary: Accept-Encoding"),
    CASE_L("9110 12.5.3", "gzip", TEXT "Accept-Encoding: gzip\r\n\r\n", "200", "Content-Encoding: gzip\nVary: Accept-Encoding\nETag: \"t1-gz\""),
    CASE_L("9110 12.5.3", "br", TEXT "Accept-Encoding: br\r\n\r\n", "200", "Content-Encoding: br\nVary: Accept-Encoding\nETag: \"t1-br\""),
    CASE_L("9110 8.4.1", "names know no case", TEXT "Accept-Encoding: GZip\r\n\r\n", "200", "Content-Encoding: gzip"),
    CASE_L("9110 8.4.1.3", "x-gzip is gzip", TEXT "Accept-Encoding: x-gzip\r\n\r\n", "200", "Content-Encoding: gzip"),
    CASE_L("9110 12.5.3", "gzip and br alike: the smaller one", TEXT "Accept-Encoding: gzip, br\r\n\r\n", "200", "Content-Encoding: br"),
    CASE_L("9110 12.4.2", "the heavier one", TEXT "Accept-Encoding: gzip;q=1.0, br;q=0.9\r\n\r\n", "200", "Content-Encoding: gzip"),
    CASE_L("9110 12.4.2", "thousandths", TEXT "Accept-Encoding: gzip;q=0.501, br;q=0.5\r\n\r\n", "200", "Content-Encoding: gzip"),
    CASE_L("9110 12.4.2", "0 is no", TEXT "Accept-Encoding: gzip;q=0\r\n\r\n", "200", "-Content-Encoding"),
    CASE_L("9110 12.4.2", "0.000 is no", TEXT "Accept-Encoding: gzip;q=0.000\r\n\r\n", "200", "-Content-Encoding"),
    CASE_L("9110 12.4.2", "0. is no", TEXT "Accept-Encoding: gzip;q=0.\r\n\r\n", "200", "-Content-Encoding"),
    CASE_L("9110 12.4.2", "Q in either case, blanks around the semicolon", TEXT "Accept-Encoding: gzip ; Q=0 , br ; q=0.5\r\n\r\n", "200", "Content-Encoding: br"),
    CASE_L("9110 12.5.3", "* stands for what is not named", TEXT "Accept-Encoding: *\r\n\r\n", "200", "Content-Encoding: zstd"),
    CASE_L("9110 12.5.3", "* but not that", TEXT "Accept-Encoding: br;q=0, zstd;q=0, *\r\n\r\n", "200", "Content-Encoding: gzip"),
    CASE_L("9110 12.5.3", "*;q=0 and one that is named", TEXT "Accept-Encoding: gzip, *;q=0\r\n\r\n", "200", "Content-Encoding: gzip"),
    CASE_L("9110 12.5.3", "identity liked better", TEXT "Accept-Encoding: gzip;q=0.5, identity\r\n\r\n", "200", "-Content-Encoding"),
    CASE_L("9110 12.5.3", "identity refused, gzip named", TEXT "Accept-Encoding: identity;q=0, gzip;q=0.1\r\n\r\n", "200", "Content-Encoding: gzip"),
    CASE_L("9110 12.5.3", "identity refused, nothing named: sent all the same, not 406", TEXT "Accept-Encoding: identity;q=0\r\n\r\n", "200", "-Content-Encoding\nVary: Accept-Encoding"),
    CASE_L("9110 12.5.3", "only unknown ones", TEXT "Accept-Encoding: compress, deflate, x\r\n\r\n", "200", "-Content-Encoding"),
    CASE_L("9110 5.6.1", "empty elements", TEXT "Accept-Encoding: , ,gzip,\r\n\r\n", "200", "Content-Encoding: gzip"),
    CASE_L("9110 5.3", "two lines are one list", TEXT "Accept-Encoding: gzip;q=0.1\r\nAccept-Encoding: br;q=0.2\r\n\r\n", "200", "Content-Encoding: br"),
    CASE_L("9110 12.5.3", "a small text is not packed", "GET /seen/x HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n", "200", "-Content-Encoding"),
    CASE_L("9110 12.5.3", "nor is a file", "GET /file HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br\r\n\r\n", "200", "-Content-Encoding\nContent-Length: 100000"),
    CASE_L("9110 8.8.3.3", "the tag of the packed one is another", TEXT "Accept-Encoding: gzip\r\nIf-None-Match: \"t1\"\r\n\r\n", "200", "ETag: \"t1-gz\""),
    CASE_L("9110 8.8.3.3", "its own tag: 304", TEXT "Accept-Encoding: gzip\r\nIf-None-Match: \"t1-gz\"\r\n\r\n", "304", "ETag: \"t1-gz\"\nVary: Accept-Encoding\nCache-Control: max-age=60\n-Content-Encoding\n-Content-Type"),
    CASE_L("9110 8.8.3.3", "the tag of the plain one: 304 for the plain one", TEXT "If-None-Match: \"t1\"\r\n\r\n", "304", "ETag: \"t1\"\nVary: Accept-Encoding"),
    CASE_L("9110 8.8.3.3", "the tag of the packed one for the plain one", TEXT "If-None-Match: \"t1-gz\"\r\n\r\n", "200", "ETag: \"t1\"\n-Content-Encoding"),
    CASE("9110 12.5.1", "Accept that cannot be had is not 406", GET "Accept: image/x-none\r\n\r\n", "200"),
    CASE("9110 12.5.4", "Accept-Language of anything", GET "Accept-Language: xx;q=, *;q=9\r\n\r\n", "200"),
};

static const struct http_case answers[] = {
    CASE_L("9110 6.6.1", "Date on a 404", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "404", "Date\nContent-Type\nCache-Control: no-store\n-ETag"),
    CASE_L("9110 6.6.1", "Date on a 400", GET "X\r\n\r\n", "400 !", "Date\nContent-Type\nContent-Length\nCache-Control: no-store"),
    CASE_L("9110 8.3", "no type where none is known", "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n", "200", "-Content-Type\nContent-Length: 5"),
    CASE_L("9110 8.6", "an empty content has its length", "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", "200", "Content-Length: 0"),
    CASE_L("9110 15.3.5", "204 has no content and no length", "GET /no-content HTTP/1.1\r\nHost: a\r\n\r\n", "204", "-Content-Length\n-Content-Type\n-Transfer-Encoding"),
    CASE("9110 15.3.5", "what follows a 204 is in step", "GET /no-content HTTP/1.1\r\nHost: a\r\n\r\n" GET "\r\n", "204 200"),
    CASE("9110 15.3.5", "HEAD of a 204", "HEAD /no-content HTTP/1.1\r\nHost: a\r\n\r\n", "204h"),
    CASE_L("9110 15.4.8", "307 with Location", "GET /redirect HTTP/1.1\r\nHost: a\r\n\r\n", "307", "Location\nCache-Control: no-cache"),
    CASE("9110 15.6.1", "a handler that says nothing: 500", "GET /never HTTP/1.1\r\nHost: a\r\n\r\n", "500"),
    CASE_B("9110 15", "a handler that answers twice: the first one", "GET /twice HTTP/1.1\r\nHost: a\r\n\r\n" GET "\r\nGET /twice HTTP/1.1\r\nHost: a\r\n\r\n", "200 200 200", NULL, "once"),
    CASE_B("9110 15", "deferred and answered at once", "GET /defer-now HTTP/1.1\r\nHost: a\r\n\r\n", "200", "Cache-Control: no-store", "at once"),
    CASE_L("9110 15.4.5", "304 repeats what a cache needs", HELLO "If-None-Match: \"h1\"\r\n\r\n", "304", "ETag: \"h1\"\nCache-Control: max-age=5\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nDate\nX-Extra: kept\n-Content-Type\n-X-Entity\n-Accept-Ranges"),
    CASE("9110 15.4.5", "what follows a 304 is in step", HELLO "If-None-Match: \"h1\"\r\n\r\n" GET "\r\n", "304 200"),
    CASE_L("9111 5.2.1.4", "no-cache from a client: the origin is asked, and answers", HELLO "Cache-Control: no-cache\r\nPragma: no-cache\r\n\r\n", "200", "Cache-Control: max-age=5"),
    CASE("9111 5.2.1.4", "no-cache with a validator may be 304", HELLO "Cache-Control: no-cache\r\nIf-None-Match: \"h1\"\r\n\r\n", "304"),
    CASE("9111 5.2.1.7", "only-if-cached is for caches", HELLO "Cache-Control: only-if-cached\r\n\r\n", "200"),
    CASE_L("9111 3", "a refusal is not kept", "GET /healthz HTTP/1.1\r\n\r\n", "400 !", "Cache-Control: no-store"),
    CASE_L("9111 3", "nor is 412", HELLO "If-Match: \"x\"\r\n\r\n", "412", "Cache-Control: no-store"),
    CASE_L("9111 3", "nor is 416", HELLO "Range: bytes=99-\r\n\r\n", "416", "Cache-Control: no-store"),
    CASE_L("9111 3", "nor is 501", "FROB / HTTP/1.1\r\nHost: a\r\n\r\n", "501", "Cache-Control: no-store"),
    CASE_L("9111 4.1", "Vary where the content depends on the request", TEXT "\r\n", "200", "Vary: Accept-Encoding"),
    CASE_L("9111 4.1", "no Vary where it does not", HELLO "Accept-Encoding: gzip\r\n\r\n", "200", "-Vary"),
};
/* clang-format on */

const struct http_group groups_9110[] = {
    GROUP("9110 9, 15.5.6 methods", methods),
    GROUP("9110 10 expectations", expectations),
    GROUP("9110 12, 8.4 negotiation", negotiation),
    GROUP("9110 6, 8, 15, 9111 answers", answers),
};
const size_t groups_9110_n = DZ_LEN(groups_9110);
